package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is the detail of the command's help.
func (*completionCmd) Help() string {
	return `Prints a script that teaches the shell Postern's commands, flags and words. The script asks the postern in PATH, so it need not be written again when that changes.

Example: for bash in ~/.bashrc, for zsh in ~/.zshrc after compinit, for fish in a file of its own.

    source <(postern completion bash)
    source <(postern completion zsh)
    postern completion fish > ~/.config/fish/completions/postern.fish`
}

// Run prints the script.
func (c *completionCmd) Run(out *output) error {
	_, err := fmt.Fprint(out.stdout, map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell])
	return unwritten(err)
}

// What a shell does when it is asked to complete: it hands over the words, the last being typed, and shows the lines that
// it gets. Where there are none it offers files.
const (
	bashCompletion = `_postern() {
	local IFS=$'\n'
	COMPREPLY=($(postern complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _postern postern
`
	zshCompletion = `_postern() {
	local -a found
	found=("${(@f)$(postern complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ -n $found[1] ]]; then compadd -- $found; else _files; fi
}
compdef _postern postern
`
	fishCompletion = `function __postern_complete
	set -l words (commandline -opc)
	set -l typed (commandline -ct)
	postern complete -- $words[2..] "$typed" 2>/dev/null
end
complete -c postern -a '(__postern_complete)'
`
)

// completeCmd is what the scripts of completion ask.
type completeCmd struct {
	Words []string `arg:"" optional:"" help:"What stands after the name of the program; the last is being typed."`
}

// Run prints what may stand for the last word, a line each.
func (c *completeCmd) Run(app *kong.Context, out *output) error {
	words, typed := c.Words, ""
	if n := len(words); n > 0 {
		words, typed = words[:n-1], words[n-1]
	}
	for _, candidate := range candidates(app.Model.Node, words, typed) {
		if _, err := fmt.Fprintln(out.stdout, candidate); err != nil {
			return unwritten(err)
		}
	}
	return nil
}

// candidates are what may stand for typed after words, sorted. None: the command line does not say.
func candidates(at *kong.Node, words []string, typed string) []string {
	var open *kong.Value // of the flag that waits for its value
	place := 0           // of the argument that comes next
	for _, word := range words {
		name, hasValue := strings.CutPrefix(word, "-")
		switch child := command(at, word); {
		case word == "=": // bash makes a word of it
		case open != nil:
			open = nil
		case hasValue:
			open = flagNamed(at, name)
		case child != nil:
			at, place = child, 0
		default:
			place++
		}
	}
	var all []string
	flagName, _, inOne := strings.Cut(typed, "=")
	switch {
	case open != nil:
		all = enumerated(open)
		typed = strings.TrimPrefix(typed, "=")
	case inOne && strings.HasPrefix(flagName, "--"):
		for _, word := range enumerated(flagNamed(at, flagName[1:])) {
			all = append(all, flagName+"="+word)
		}
	case strings.HasPrefix(typed, "-"):
		all = flags(at)
	default:
		if place == 0 {
			all = commands(at)
		}
		if place < len(at.Positional) {
			all = append(all, enumerated(at.Positional[place])...)
		}
	}
	all = slices.DeleteFunc(all, func(s string) bool { return !strings.HasPrefix(s, typed) })
	slices.Sort(all)
	return all
}

// command is the command of that name below a node, or nil.
func command(at *kong.Node, name string) *kong.Node {
	for _, child := range at.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

func commands(at *kong.Node) []string {
	var names []string
	for _, child := range at.Children {
		if !child.Hidden {
			names = append(names, child.Name)
		}
	}
	return names
}

// flagNamed is the flag that word, without its first dash, leaves without a value: nil for one that needs none or has it.
func flagNamed(at *kong.Node, word string) *kong.Value {
	for _, group := range at.AllFlags(true) {
		for _, f := range group {
			if (word == "-"+f.Name || f.Short != 0 && word == string(f.Short)) && !f.IsBool() {
				return f.Value
			}
		}
	}
	return nil
}

func flags(at *kong.Node) []string {
	var names []string
	for _, group := range at.AllFlags(true) {
		for _, f := range group {
			names = append(names, "--"+f.Name)
		}
	}
	return names
}

// enumerated are the words that a value may be, if it is one of a closed list.
func enumerated(v *kong.Value) []string {
	if v == nil {
		return nil
	}
	if v.Enum != "" {
		return slices.DeleteFunc(v.EnumSlice(), func(s string) bool { return s == "" })
	}
	if listed, ok := reflect.TypeAssert[interface{ words() []string }](v.Target); ok {
		return listed.words()
	}
	return nil
}
