package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/strictjson"
)

// maxSheet bounds a file that a command reads as a whole, in bytes.
const maxSheet = 1 << 20

// maxSheetDepth bounds what lies in each other in a provider.
const maxSheetDepth = 8

// sheet is what somebody wrote into a YAML or JSON file for a command.
type sheet struct {
	name  string
	value any
}

// readText reads a file, or standard input where it is called -.
func readText(name string, stdin io.Reader) ([]byte, error) {
	from := stdin
	if name != "-" {
		f, err := os.Open(filepath.Clean(name))
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		from = f
	} else {
		name = "standard input"
	}
	data, err := io.ReadAll(io.LimitReader(from, maxSheet+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(data) > maxSheet {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxSheet)
	}
	return data, nil
}

// readSheet reads YAML, of which JSON is a part.
func readSheet(name string, stdin io.Reader) (*sheet, error) {
	data, err := readText(name, stdin)
	if err != nil {
		return nil, err
	}
	s := &sheet{name: name}
	if name == "-" {
		s.name = "standard input"
	}
	if err := yaml.Unmarshal(data, &s.value); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return s, nil
}

// members are those of an object in the sheet, as JSON.
func members(v any) (map[string]json.RawMessage, error) {
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("is not an object")
	}
	m := make(map[string]json.RawMessage, len(object))
	for name, value := range object {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("%s: is nothing that JSON can hold", name)
		}
		m[name] = text
	}
	return m, nil
}

// unknownOf are the names in m, in order, that are not among known.
func unknownOf(m map[string]json.RawMessage, known ...string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(name string) bool { return slices.Contains(known, name) })
}

// providerRequest asks for one provider in one environment.
type providerRequest struct {
	place string // in the sheet, for errors
	body  json.RawMessage
}

// providers are the requests that the sheet stands for. environment is that of providers that name none.
func (s *sheet) providers(environment string) (all []providerRequest, err error) {
	list, ok := s.value.([]any)
	if object, is := s.value.(map[string]any); is {
		if list, ok = object["providers"].([]any); !ok {
			list, ok = []any{object}, true
		} else if len(object) > 1 {
			return nil, fmt.Errorf("%s: beside providers there is something else", s.name)
		}
	}
	if !ok || len(list) == 0 {
		return nil, hint(fmt.Errorf("%s: holds no provider", s.name), "see the example of: postern providers apply --help")
	}
	for i, v := range list {
		requests, err := s.provider(i, v, environment)
		if err != nil {
			return nil, fmt.Errorf("%s: providers[%d]: %w", s.name, i, err)
		}
		all = append(all, requests...)
	}
	return all, nil
}

// provider are the requests for one provider, one for each environment.
func (s *sheet) provider(i int, v any, environment string) ([]providerRequest, error) {
	m, err := members(v)
	if err != nil {
		return nil, err
	}
	environments := []string{}
	if listed, ok := m["environments"]; ok && json.Unmarshal(listed, &environments) != nil {
		return nil, errors.New("environments: is not a list of texts")
	}
	if one, ok := m["environment"]; ok {
		if json.Unmarshal(one, &environment) != nil {
			return nil, errors.New("environment: is not a text")
		}
		environments = append(environments, environment)
	}
	delete(m, "environments")
	delete(m, "environment")
	if unknown := unknownOf(m, federation.ProviderMembers()...); len(unknown) > 0 {
		return nil, fmt.Errorf("%s: unknown field", unknown[0])
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	object, err := strictjson.Parse(string(text), strictjson.Rules{Depth: maxSheetDepth}, nil)
	if err != nil {
		return nil, err
	}
	spec, err := federation.ReadProvider(object)
	if err != nil {
		return nil, err
	}
	if len(environments) == 0 {
		environments = []string{environment}
	}
	var all []providerRequest
	for _, e := range environments {
		if e != "" {
			m["environment"], err = json.Marshal(e)
		}
		body, bad := json.Marshal(m)
		if err := errors.Join(err, bad); err != nil {
			return nil, err
		}
		all = append(all, providerRequest{place: fmt.Sprintf("%s: providers[%d] (%s)", s.name, i, spec.ID), body: body})
	}
	return all, nil
}

// each yields the items of a list that is whole.
func each[Item any](items []Item) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}
