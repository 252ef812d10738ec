package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/postern-auth/postern/config"
)

type checkCmd struct {
	Config  checkConfigCmd  `cmd:"" help:"Validate the configuration file and say what would be served."`
	Request checkRequestCmd `cmd:"" help:"Say what would become of a request, and why."`
}

// Help is the detail of the noun's help.
func (*checkCmd) Help() string {
	return `Examples:

    postern check config postern.yaml
    postern check request --url https://api.example.com/v1/notes -H "Authorization: Bearer $KEY"`
}

type checkConfigCmd struct {
	located
	File  string `arg:"" optional:"" help:"Configuration file; like --config."`
	Envoy string `placeholder:"FILE" help:"Examine this Envoy configuration instead: a bootstrap, in YAML or JSON, or what Envoy's admin listener says on /config_dump."`
}

// Help is the detail of the command's help.
func (*checkConfigCmd) Help() string {
	return `Prints ok, or all problems at once as FILE:LINE: PATH: what is wrong; what to do. Touches nothing but the file and the secrets that it names. As a report it is text even where no terminal is, unless -o is given.

With --envoy it says what of an Envoy's configuration lets requests past this Postern, makes checks fail, or hides something, each as FILE:LINE: SEVERITY: PATH: what is wrong; what to do. Errors are exit 1, warnings are not.

Example:

    postern check config postern.yaml
    curl -s localhost:9901/config_dump?include_eds > dump.json
    postern check config postern.yaml --envoy dump.json`
}

// Run validates the file.
func (c *checkConfigCmd) Run(out *output) error {
	switch {
	case c.File != "" && c.Config != "" && c.File != c.Config:
		return misuse(fmt.Errorf("two configuration files: %q and --config %q", c.File, c.Config), "postern check config --help")
	case c.File != "":
		c.Config = c.File
	}
	s, err := c.loadGate()
	if err != nil {
		return err
	}
	if out.given == "" {
		out.given = formatTable // a report, not data
	}
	if c.Envoy != "" {
		return examine(out, s, c.Envoy)
	}
	served, err := newServed(s)
	if err != nil {
		return err
	}
	return out.data(served, served.write)
}

// served is what a configuration would have Postern serve.
type served struct {
	OK           bool             `json:"ok"`
	File         string           `json:"file"`
	Profile      config.Profile   `json:"profile"`
	DataDir      string           `json:"data_dir"`
	Listeners    []listener       `json:"listeners"`
	Environments []environment    `json:"environments"`
	Policies     []string         `json:"policies"`
	Warnings     []config.Problem `json:"warnings"`
}

type listener struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

type environment struct {
	Name      string `json:"name"`
	KeyPrefix string `json:"key_prefix"`
}

func newServed(s settings) (served, error) {
	v := served{
		OK: true, File: s.File, Profile: s.Profile, Policies: []string{}, Warnings: append([]config.Problem{}, s.warnings...),
	}
	var err error
	if v.DataDir, err = filepath.Abs(s.DataDir); err != nil {
		return v, err
	}
	for _, l := range s.listeners() {
		v.Listeners = append(v.Listeners, listener{l.name, absolute(l.at).String()})
	}
	for _, e := range s.Environments {
		v.Environments = append(v.Environments, environment(e))
	}
	for i, p := range s.Policies {
		v.Policies = append(v.Policies, cmp.Or(p.Name, fmt.Sprintf("policies[%d]", i))) // as logs and metadata call it
	}
	return v, nil
}

// write writes the report for people.
func (v served) write(w io.Writer) {
	row(w, "ok")
	row(w, "file", v.File)
	row(w, "profile", string(v.Profile))
	row(w, "data_dir", v.DataDir)
	for _, l := range v.Listeners {
		row(w, "listen", l.Name+" on "+l.Address)
	}
	for _, e := range v.Environments {
		row(w, "environment", e.Name+", keys begin with "+e.KeyPrefix)
	}
	row(w, "policies", strings.Join(append(v.Policies, "default_policy"), ", "))
	for _, p := range v.Warnings {
		row(w, "warning", p.String())
	}
}
