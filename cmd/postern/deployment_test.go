package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

// example is the path of a file in examples.
func example(path ...string) string {
	return filepath.Join(append([]string{"..", "..", "examples"}, path...)...)
}

// unit is a systemd unit: section.key → values.
func unit(t *testing.T, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(example("systemd", name))
	if err != nil {
		t.Fatal(err)
	}
	section, all := "", map[string][]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		case !ok:
			t.Errorf("%s: %q is no setting", name, line)
		default:
			all[section+"."+key] = append(all[section+"."+key], value)
		}
	}
	return all
}

// only is a setting that a unit has once.
func only(t *testing.T, u map[string][]string, key string) string {
	t.Helper()
	if len(u[key]) != 1 {
		t.Fatalf("%s is given %d times", key, len(u[key]))
	}
	return u[key][0]
}

// parses fails unless the command line is one of Postern's.
func parses(t *testing.T, args []string) {
	t.Helper()
	parser, err := kong.New(&cli{})
	if err == nil {
		_, err = parser.Parse(args)
	}
	if err != nil {
		t.Errorf("postern %s: %v", strings.Join(args, " "), err)
	}
}

// The units in examples/systemd fit each other, the file beside them, and what serve makes of both. R-PROC-1, R-GRPC-1
func TestSystemdExample(t *testing.T) {
	t.Parallel()
	s, err := unhardened(example("systemd", "postern.yaml")).readGate()
	if err != nil {
		t.Fatal(err)
	}
	service := unit(t, "postern.service")
	command := strings.Fields(only(t, service, "Service.ExecStart"))
	parses(t, command[1:])
	for key, want := range map[string]string{
		"Type": "notify-reload", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "LimitCORE": "0", "UMask": "0077", "CapabilityBoundingSet": "",
		"StateDirectoryMode": "0700", "User": "postern",
	} {
		if got := only(t, service, "Service."+key); got != want {
			t.Errorf("%s=%s, want %s", key, got, want)
		}
	}
	if state := "/var/lib/" + only(t, service, "Service.StateDirectory"); filepath.Dir(s.DataDir) != state {
		t.Errorf("data_dir %s is not in the StateDirectory %s", s.DataDir, state)
	}
	if patience, err := time.ParseDuration(only(t, service, "Service.TimeoutStopSec")); err != nil || patience <= s.Shutdown.Deadline {
		t.Errorf("TimeoutStopSec is %v, %v; the drain takes up to %v", patience, err, s.Shutdown.Deadline)
	}
	addresses := map[string]string{"authz": s.Listen.Authz.Text, "health": s.Listen.Health.Text}
	for name := range strings.FieldsSeq(only(t, service, "Service.Sockets")) {
		socket := unit(t, name)
		listener := only(t, socket, "Socket.FileDescriptorName")
		if got := only(t, socket, "Socket.ListenStream"); got != addresses[listener] {
			t.Errorf("%s listens on %s, listen.%s is %q", name, got, listener, addresses[listener])
		}
		delete(addresses, listener)
		if only(t, socket, "Socket.Service") != "postern.service" {
			t.Errorf("%s is for another service", name)
		}
		if listener == "authz" {
			if mode, err := strconv.ParseUint(only(t, socket, "Socket.SocketMode"), 8, 32); err != nil || fs.FileMode(mode) != s.Authz.SocketMode {
				t.Errorf("SocketMode=%o, %v; authz.socket_mode is %o", mode, err, s.Authz.SocketMode)
			}
		}
	}
	if len(addresses) > 0 {
		t.Errorf("no socket unit for %v", addresses)
	}
	t.Run("systemd understands them", func(t *testing.T) { verifyUnits(t, service) })
}

// verifyUnits has systemd look at the units, if there is one.
func verifyUnits(t *testing.T, service map[string][]string) {
	t.Helper()
	analyze, err := exec.LookPath("systemd-analyze")
	var version []byte
	if err == nil {
		version, err = exec.Command(analyze, "--version").Output()
	}
	switch {
	case err != nil && os.Getenv("CI") != "": // .ci/run installs it
		t.Fatalf("systemd-analyze: %v", err)
	case err != nil:
		t.Skipf("NOT TESTED: systemd-analyze: %v", err)
	}
	var release int
	_, _ = fmt.Sscanf(string(version), "systemd %d", &release)
	dir := t.TempDir()
	args := []string{"verify", "--man=no", "--recursive-errors=no"}
	for _, name := range append(strings.Fields(only(t, service, "Service.Sockets")), "postern.service") {
		text, err := os.ReadFile(example("systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.Replace(text, []byte("/usr/local/bin/postern"), []byte(os.Args[0]), 1) // a program that is there
		if release < 253 {
			text = bytes.Replace(text, []byte("Type=notify-reload"), []byte("Type=notify"), 1)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	out, err := exec.CommandContext(context.Background(), analyze, args...).CombinedOutput()
	var said []string
	for line := range strings.Lines(string(out)) { // of ours; what is wrong with the units of the machine is not our business
		if strings.Contains(line, "postern") {
			said = append(said, line)
		}
	}
	if len(said) > 0 {
		t.Errorf("systemd-analyze: %v\n%s", err, strings.Join(said, ""))
	}
}

// composed is what the compose file may hold: another key is a typing error until it is here.
type composed struct {
	Services map[string]struct {
		Build         struct{ Context, Dockerfile string }
		Image         string
		User          string
		Command       []string
		Volumes       []string
		Ports         []string
		DependsOn     map[string]struct{ Condition string } `yaml:"depends_on"`
		ReadOnly      bool                                  `yaml:"read_only"`
		CapDrop       []string                              `yaml:"cap_drop"`
		SecurityOpt   []string                              `yaml:"security_opt"`
		Ulimits       map[string]int
		StopGracetime string `yaml:"stop_grace_period"`
		Restart       string
	}
	Volumes map[string]any
}

// The files in examples/docker fit each other, and Envoy's is what Postern renders.
func TestDockerExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(example("docker", "docker-compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var c composed
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil {
		t.Fatal(err)
	}
	for name, service := range c.Services {
		for _, v := range service.Volumes {
			source, _, _ := strings.Cut(v, ":")
			_, volume := c.Volumes[source]
			if _, err := os.Stat(example("docker", source)); !volume && (err != nil || !strings.HasPrefix(source, "./")) {
				t.Errorf("%s: nothing is at %s", name, v)
			}
		}
		for other := range service.DependsOn {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("%s depends on %s", name, other)
			}
		}
	}
	postern, envoy := c.Services["postern"], c.Services["envoy"]
	s, err := unhardened(example("docker", "postern", "postern.yaml")).readGate()
	if err != nil {
		t.Fatal(err)
	}
	if grace, err := time.ParseDuration(postern.StopGracetime); err != nil || grace <= s.Shutdown.Delay+s.Shutdown.Deadline {
		t.Errorf("stop_grace_period is %v, %v; Postern takes up to %v", grace, err, s.Shutdown.Delay+s.Shutdown.Deadline)
	}
	for _, v := range []string{"./postern:/etc/postern:ro", "data:" + filepath.Dir(s.DataDir), "socket:" + filepath.Dir(s.Listen.Authz.Text)} {
		if !slices.Contains(postern.Volumes, v) {
			t.Errorf("postern has no volume %s", v)
		}
	}
	if !slices.Contains(envoy.Volumes, "socket:"+filepath.Dir(s.Listen.Authz.Text)) {
		t.Error("Envoy has no socket")
	}
	dockerfile(t, filepath.Join("docker", postern.Build.Context, postern.Build.Dockerfile), envoy.User)

	render := exec.CommandContext(t.Context(), os.Args[0])
	render.Args = []string{ // the name makes it Postern: TestMain
		"postern", "render", "envoy", "--config", example("docker", "postern", "postern.yaml"), "--listen", "0.0.0.0:10000", "--upstream", "upstream:80",
	}
	rendered, err := render.Output()
	if err != nil {
		t.Fatal(err)
	}
	path := example("docker", "envoy.yaml")
	if *update {
		if err := os.WriteFile(path, rendered, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(kept), string(rendered)); diff != "" {
		t.Errorf("examples/docker/envoy.yaml (-is +rendered):\n%s", diff)
	}
	if strings.Join(envoy.Command, " ") != "-c /etc/envoy/envoy.yaml" || !slices.Contains(envoy.Volumes, "./envoy.yaml:/etc/envoy/envoy.yaml:ro") {
		t.Error("Envoy does not read envoy.yaml")
	}
	if version := regexp.MustCompile(`^envoyproxy/envoy:v(\d+\.\d+)\.\d+$`).FindStringSubmatch(envoy.Image); version == nil || version[1] != "1.40" {
		t.Errorf("Envoy is %s, and what is rendered is for 1.40", envoy.Image)
	}
}

// dockerfile checks the image: static, of the Go that go.mod asks for, and a user by number whose group Envoy shares.
func dockerfile(t *testing.T, path, envoy string) {
	t.Helper()
	text, err := os.ReadFile(example(path))
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)
	has := func(pattern string) []string {
		t.Helper()
		found := regexp.MustCompile("(?m)" + pattern).FindStringSubmatch(string(text))
		if found == nil {
			t.Fatalf("%s has no %q", path, pattern)
		}
		return found
	}
	has(`^FROM golang:` + regexp.QuoteMeta(string(language[1])) + ` AS build$`)
	has(`^FROM scratch$`)
	has(`CGO_ENABLED=0 go build `)
	has(`^COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt$`)
	has(`^COPY --from=build /usr/local/go/lib/time/zoneinfo.zip (/\S+)$`)
	has(`^ENV ZONEINFO=` + has(`zoneinfo.zip (/\S+)$`)[1] + `$`)
	user := has(`^USER (\d+):(\d+)$`)
	if _, group, _ := strings.Cut(envoy, ":"); user[1] == "0" || group != user[2] {
		t.Errorf("postern is %s, Envoy %s", user[0], envoy)
	}
	has(`--chown=` + user[1] + ":" + user[2] + ` `)
	has(`^ENTRYPOINT \["/postern"\]$`)
	parses(t, []string{has(`^CMD \["(\w+)"\]$`)[1]})
	parses(t, []string{has(`^HEALTHCHECK .*CMD \["/postern", "(\w+)"\]$`)[1]})
}
