package config

import _ "embed"

// The tests make this file from the types and their comments, and compare it.
//
//go:embed postern.schema.json
var schema []byte

// Schema is the JSON Schema of the file, for editors: draft 2020-12, as text that ends with a newline. It knows the keys, their
// types and their words; what depends on several keys only [Load] can judge.
func Schema() []byte { return append([]byte(nil), schema...) }
