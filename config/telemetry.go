package config

// Telemetry is about logs and traces. Metrics are always kept and are served by listen.health and listen.admin.
type Telemetry struct {
	// Log on standard error.
	Log Log `yaml:"log"`
	// Traces by OpenTelemetry.
	Traces Traces `yaml:"traces"`
}

// Log is about the log on standard error.
type Log struct {
	// Level is the least that is logged: debug, info, warn, error. Default: info.
	Level LogLevel `yaml:"level"`
	// Format of a line: json or text. Default: json.
	Format LogFormat `yaml:"format"`
	// Decisions that are logged: none, denied, sampled, all. Default: denied.
	Decisions Decisions `yaml:"decisions"`
}

// Traces are spans for OpenTelemetry, set up by the standard variables OTEL_*. Not built yet.
type Traces struct {
	// Enabled turns them on. Default: false.
	Enabled bool `yaml:"enabled"`
}

// LogLevel names a weight of log lines.
type LogLevel string

// The weights of log lines.
const (
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"
)

func (LogLevel) values() []string { return names(LogDebug, LogInfo, LogWarn, LogError) }

// LogFormat names a form of log lines.
type LogFormat string

// The forms of log lines.
const (
	LogJSON LogFormat = "json"
	LogText LogFormat = "text"
)

func (LogFormat) values() []string { return names(LogJSON, LogText) }

// Decisions names the decisions that are logged.
type Decisions string

// The decisions that may be logged.
const (
	DecisionsNone    Decisions = "none"
	DecisionsDenied  Decisions = "denied"
	DecisionsSampled Decisions = "sampled"
	DecisionsAll     Decisions = "all"
)

func (Decisions) values() []string {
	return names(DecisionsNone, DecisionsDenied, DecisionsSampled, DecisionsAll)
}
