package config

// Environment is a security boundary: every key belongs to exactly one.
type Environment struct {
	// Name of the environment, as headers and commands spell it: 1 to 64 letters, digits, dots, dashes, underscores.
	Name string `yaml:"name" jsonschema:"required,pattern=^[A-Za-z0-9._-]{1\\,64}$"`
	// KeyPrefix begins every key of the environment: 1 to 32 letters, digits, dashes, underscores.
	KeyPrefix string `yaml:"key_prefix" jsonschema:"required,pattern=^[a-zA-Z0-9_-]{1\\,32}$"`
}
