package main

import (
	"encoding/json"
	"io"
	"runtime"

	"github.com/postern-auth/postern/config"
)

type versionCmd struct{}

// Help is the detail of the command's help.
func (*versionCmd) Help() string {
	return `Example:

    postern version`
}

// Run prints the version.
func (*versionCmd) Run(out *output) error {
	b := build()
	v := struct {
		Version  string `json:"version"`
		Revision string `json:"revision"`
		Go       string `json:"go"`
	}{b.Version, b.Revision, runtime.Version()}
	return out.data(v, func(w io.Writer) {
		row(w, "version", v.Version)
		row(w, "revision", v.Revision)
		row(w, "go", v.Go)
	})
}

type schemaCmd struct{}

// Help is the detail of the command's help.
func (*schemaCmd) Help() string {
	return `Editors that know YAML check and complete the file with it, when its first line names it:

    # yaml-language-server: $schema=postern.schema.json

Example:

    postern schema > postern.schema.json`
}

// Run prints the schema.
func (*schemaCmd) Run(out *output) error {
	if out.given == formatYAML {
		return out.data(json.RawMessage(config.Schema()), nil)
	}
	_, err := out.stdout.Write(config.Schema())
	return unwritten(err)
}
