package main

import (
	"encoding/json"
	"errors"
)

type openapiCmd struct {
	located
}

// Help is the detail of the command's help.
func (*openapiCmd) Help() string {
	return `Prints what Postern serves to clients on listen.api under this configuration: its paths, credentials, requests, replies and errors, as a document of OpenAPI 3.1. Renamed paths, headers and codes are as the file has them.

Example:

    postern openapi > openapi.json
    postern openapi -o yaml`
}

// Run prints the document.
func (c *openapiCmd) Run(out *output) error {
	s, err := c.loadGate()
	if err != nil {
		return err
	}
	if s.site == nil {
		return hint(errors.New("listen.api is not set: clients are served nothing"), "set listen.api in %q", s.File)
	}
	text, err := s.site.OpenAPI()
	if err != nil {
		return err
	}
	if out.given == formatYAML {
		return out.data(json.RawMessage(text), nil)
	}
	_, err = out.stdout.Write(text)
	return unwritten(err)
}
