package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/api"
)

// located is embedded by every command that needs the configuration.
type located struct {
	Config string `placeholder:"FILE" help:"Configuration file. Default: $$POSTERN_CONFIG, else ./postern.yaml, else /etc/postern/postern.yaml."`
}

// settings are the configuration, read once.
type settings struct {
	*config.Config
	gate     extauthz.Options // only by loadGate
	site     *api.Site        // likewise; nil: listen.api is not set
	warnings []config.Problem // likewise
	exposed  error            // what could not be done to keep its secrets in this process
}

// loadData is load for commands that need no more than the data folder: whoever must end a key now need not mend the
// policies first, or know a secret that only Envoy's listener asks for. What they pass over is said.
func (l located) loadData(out *output) (settings, error) {
	s, err := l.load()
	invalid, ok := errors.AsType[*config.InvalidError](err)
	if !ok || s.Config == nil || slices.ContainsFunc(invalid.Problems, concernsData) {
		return s, err
	}
	out.note("%q has problems that do not concern this command; see: postern check config", s.File)
	return s, nil
}

// concernsData reports whether a problem may change which data are meant, or how they are read.
func concernsData(p config.Problem) bool {
	section, _, _ := strings.Cut(strings.ReplaceAll(p.Path, "[", "."), ".")
	switch section {
	case "listen", "authz", "api", "admin", "shutdown", "headers", "errors", "policies", "default_policy", "telemetry",
		"issuers", "gateway_audiences", "accept_any_audience", "upstream_audience", "upstream_authorization", "upstream_credentials",
		"paths", "base_path", "resource_metadata":
		return false
	}
	return true // and so is a key that is unknown: it may be one of those that count, misspelt
}

// loadGate is load for commands that serve, show or render the gate: the file must make sense to its builder too.
func (l located) loadGate() (settings, error) {
	path, err := l.find()
	if err != nil {
		return settings{}, err
	}
	return newSource(path).readGate()
}

// load reads the configuration file and hardens the process that now knows its secrets. With an error that lists
// problems of the file, the settings come as far as it could be understood, for others to find more in them.
func (l located) load() (settings, error) {
	path, err := l.find()
	if err != nil {
		return settings{}, err
	}
	return newSource(path).read()
}

// find names the configuration file.
func (l located) find() (string, error) {
	if l.Config != "" {
		return l.Config, nil
	}
	if path := os.Getenv("POSTERN_CONFIG"); path != "" {
		return path, nil
	}
	const here, etc = "postern.yaml", "/etc/postern/postern.yaml"
	for _, path := range []string{here, etc} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	return "", hint(fmt.Errorf("there is no configuration file: neither ./%s nor %s exists", here, etc),
		"name it with --config FILE or in POSTERN_CONFIG; a file with the single line `version: 1` will do")
}
