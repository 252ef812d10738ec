// Package config reads Postern's one configuration file into one struct.
//
// [Load] is handed the functions that read files and variables, so that the result is plain data: it holds what the file
// says, the defaults of what it leaves out, and the secrets that it points to. It opens no listener, makes no folder and
// keeps no clock. Only the command imports it, and maps it onto the options of the other packages.
//
// Laws of the file:
//
//   - It is strict. A key that is unknown, given twice, empty or of another type is a problem, and so is a second document.
//   - All problems come together, in the order of their lines, each with its line, its YAML path, what is wrong and what to
//     do ([Problem], [InvalidError]). Only a file that is not YAML stops at its first fault.
//   - What protects is enforced or refused. A key whose protection is not built yet is a problem; one that only adds is a
//     warning ([Config.Warnings]); a value that is in force anyway passes in silence.
//   - A key that belongs to another profile is a problem that names the profile.
//   - A secret stands in a file or in a variable, never in this file, and prints as REDACTED ([Secret]).
//   - Whatever opens a door has a name that says so (insecure_plaintext) and is warned about.
//
// What this package does not judge: header names, error classes, path and host patterns, overlapping policies, and the state
// of the data folder. Their builders do, and [Config.Problem] gives their findings a place in the file.
//
// Reading order: config.go and the files of its sections (environment.go, listen.go, policy.go, profile.go, telemetry.go)
// are the reference of the keys; default.go and the files validate*.go have the rules; load.go, decode.go, value.go and
// source.go are the machinery.
package config
