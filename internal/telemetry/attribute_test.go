package telemetry

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Every attribute that Postern logs is in the list: an operator should not meet REDACTED where there was no secret.
func TestAttributesOfTheTreeAreKnown(t *testing.T) {
	t.Parallel()
	files, names := token.NewFileSet(), 0
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && len(d.Name()) > 2 && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			for _, name := range attributesOf(n) {
				names++
				if !known(name) {
					t.Errorf("%s: attribute %q is not in attribute.go", files.Position(n.Pos()), name)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if names == 0 {
		t.Error("no attribute was found: this test looks in the wrong place")
	}
}

// attributesOf returns the names of the attributes in a call that logs, or that makes an attribute.
func attributesOf(n ast.Node) (names []string) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return nil
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	receiver := ""
	switch x := method.X.(type) {
	case *ast.Ident:
		receiver = x.Name
	case *ast.SelectorExpr:
		receiver = x.Sel.Name
	}
	first := 0
	switch method.Sel.Name {
	case "Info", "Warn", "Error", "Debug":
		first = 1
	case "InfoContext", "WarnContext", "ErrorContext", "DebugContext":
		first = 2
	case "Log":
		first = 3
	case "With":
	case "String", "Int", "Int64", "Uint64", "Bool", "Duration", "Time", "Any":
		if receiver != "slog" || len(call.Args) != 2 {
			return nil
		}
	default:
		return nil
	}
	if receiver != "slog" && !strings.EqualFold(receiver, "log") && !strings.EqualFold(receiver, "logger") {
		return nil
	}
	for i, step := first, 0; i < len(call.Args); i += step {
		literal, ok := call.Args[i].(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			step = 1 // attributes stand alone, each found by itself
			continue
		}
		step = 2
		if name, err := strconv.Unquote(literal.Value); err == nil {
			names = append(names, name)
		}
	}
	return names
}
