package main

import (
	"cmp"
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/postern-auth/postern/internal/authtest"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata/script")

func TestMain(m *testing.M) {
	testscript.Main(leaks{m}, map[string]func(){
		"postern":  main,
		"hardened": hardened,
		"handover": handover,
		"damage":   damage,
		"forge":    forge,
	})
}

// leaks finds goroutines that outlive the tests.
type leaks struct{ *testing.M }

// Run runs the tests, which trust the identity providers of authtest, as do their children.
func (l leaks) Run() int {
	ca := filepath.Join(os.TempDir(), fmt.Sprintf("postern-test-ca-%d.pem", os.Getpid()))
	if err := errors.Join(os.WriteFile(ca, authtest.ProviderCA(), 0o600), os.Setenv("SSL_CERT_FILE", ca)); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.Remove(ca) }()
	code := l.M.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); code == 0 && err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestScript runs the binary as its users do: each file of testdata/script is a story with what must, and must not, be left behind.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // or each process of a race build waits for a second before it ends
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "keyring": // a Secret Service, and the bus that it answers on
				_, bus := exec.LookPath("dbus-daemon")
				_, service := exec.LookPath("gnome-keyring-daemon")
				if err := errors.Join(bus, service); err != nil && os.Getenv("CI") != "" { // .ci/run installs them
					return false, err
				}
				return bus == nil && service == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"waitfor":   waitFor,
			"terminate": terminate,
			"hangup":    hangUp,
			"setenv":    setEnv,
			"check":     check,
			"get":       get,
			"ask":       ask,
			"mode":      mode,
			"listen":    listenStill,
			"lock":      lock,
			"host":      hostFiles,
		},
	})
}

// waitFor FILE PATTERN [N] waits until a line of the file matches, or N do.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	want := 1
	if len(args) == 3 {
		var err error
		want, err = strconv.Atoi(args[2])
		ts.Check(err)
	} else if len(args) != 2 {
		ts.Fatalf("usage: waitfor FILE PATTERN [N]")
	}
	pattern := regexp.MustCompile("(?m)" + args[1])
	var text []byte
	for range 1000 {
		if text, _ = os.ReadFile(ts.MkAbs(args[0])); len(pattern.FindAllIndex(text, -1)) >= want {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s never matched %q:\n%s", args[0], args[1], text)
}

// terminate sends SIGTERM to all that runs in the background.
func terminate(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 0 {
		ts.Fatalf("usage: terminate")
	}
	for _, command := range ts.BackgroundCmds() {
		ts.Check(command.Process.Signal(syscall.SIGTERM))
	}
}

// hangUp sends SIGHUP to all that runs in the background.
func hangUp(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 0 {
		ts.Fatalf("usage: hangup")
	}
	for _, command := range ts.BackgroundCmds() {
		ts.Check(command.Process.Signal(syscall.SIGHUP))
	}
}

// setEnv VARIABLE FILE PATTERN sets a variable to what the pattern's group holds in the file; stdout is a file too.
func setEnv(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: setenv VARIABLE FILE PATTERN")
	}
	found := regexp.MustCompile("(?m)" + args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if len(found) != 2 {
		ts.Fatalf("%s has no %q", args[1], args[2])
	}
	ts.Setenv(args[0], found[1])
}

// check ADDRESS METHOD PATH [LINE…] asks about a request with these header lines, as Envoy does. stdout gets the status and
// what is done to the request's headers; with ! it must be denied.
func check(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: check ADDRESS METHOD PATH [LINE…]")
	}
	address := args[0]
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		address = "unix:" + ts.MkAbs(path)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	ts.Check(err)
	defer func() { ts.Check(conn.Close()) }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := authv3.NewAuthorizationClient(conn).Check(ctx, authtest.NewCheck(args[1], args[2], args[3:]...).Raw())
	ts.Check(err)
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(ts.Stdout(), format+"\n", args...) }
	if denied := r.GetDeniedResponse(); denied != nil {
		say("denied %d\n%s", denied.GetStatus().GetCode(), denied.GetBody())
	}
	if ok := r.GetOkResponse(); ok != nil {
		say("allowed")
		for _, h := range ok.GetHeaders() {
			say("set %s: %s", h.GetHeader().GetKey(), h.GetHeader().GetValue())
		}
		for _, name := range ok.GetHeadersToRemove() {
			say("remove %s", name)
		}
	}
	switch r.GetStatus().GetCode() == 0 {
	case neg:
		ts.Fatalf("%v", r)
	}
}

// get URL [PATTERN] asks a server, and again until a line of the reply matches; stdout gets the reply. With ! the status must not be 200.
func get(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 && len(args) != 2 {
		ts.Fatalf("usage: get URL [PATTERN]")
	}
	pattern := regexp.MustCompile("(?m)" + strings.Join(args[1:], ""))
	var status int
	var reply string
	for range 1000 {
		r, err := http.Get(args[0])
		ts.Check(err)
		body, err := io.ReadAll(r.Body)
		ts.Check(errors.Join(err, r.Body.Close()))
		status, reply = r.StatusCode, fmt.Sprintf("%s\n%s", r.Status, body)
		if pattern.MatchString(reply) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	_, err := io.WriteString(ts.Stdout(), reply)
	ts.Check(err)
	if !pattern.MatchString(reply) {
		ts.Fatalf("%s never matched %q", args[0], pattern)
	}
	switch status == http.StatusOK {
	case neg:
		ts.Fatalf("%d", status)
	}
}

// ask [-unix SOCKET] METHOD URL [BODY] [LINE…] sends a request with these header lines, over the socket if one is given. stdout gets the
// status, the header lines and the body; with ! the status must not be a success.
func ask(ts *testscript.TestScript, neg bool, args []string) {
	transport := &http.Transport{DisableKeepAlives: true}
	if len(args) > 2 && args[0] == "-unix" {
		path := ts.MkAbs(args[1])
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		args = args[2:]
	}
	if len(args) < 2 {
		ts.Fatalf("usage: ask [-unix SOCKET] METHOD URL [BODY] [LINE…]")
	}
	args = append(args, "")
	request, err := http.NewRequest(args[0], args[1], strings.NewReader(args[2]))
	ts.Check(err)
	for _, line := range args[3:] {
		if name, value, ok := strings.Cut(line, ": "); ok {
			request.Header.Add(name, value)
		}
	}
	request.Host = cmp.Or(request.Header.Get("Host"), request.Host)
	r, err := transport.RoundTrip(request)
	ts.Check(err)
	body, err := io.ReadAll(r.Body)
	ts.Check(errors.Join(err, r.Body.Close()))
	var head strings.Builder
	ts.Check(r.Header.Write(&head))
	_, err = fmt.Fprintf(ts.Stdout(), "%s\n%s\n%s", r.Status, strings.ReplaceAll(head.String(), "\r", ""), body)
	ts.Check(err)
	switch r.StatusCode < 300 {
	case neg:
		ts.Fatalf("%s", r.Status)
	}
}

// mode OCTAL FILE… asserts permissions.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: mode OCTAL FILE…")
	}
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	for _, name := range args[1:] {
		info, err := os.Lstat(ts.MkAbs(name))
		ts.Check(err)
		if got := info.Mode().Perm(); got != os.FileMode(want) {
			ts.Fatalf("%s has mode %04o", name, got)
		}
	}
}

// listenStill PATH listens on a socket as long as the script runs; with ! it leaves a socket behind on which nobody does.
func listenStill(ts *testscript.TestScript, neg bool, args []string) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: ts.MkAbs(args[0]), Net: "unix"})
	ts.Check(err)
	switch {
	case neg:
		l.SetUnlinkOnClose(false)
		ts.Check(l.Close())
	default:
		ts.Defer(func() { _ = l.Close() })
	}
}

// lock FILE holds the lock of a file as long as the script runs.
func lock(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: lock FILE")
	}
	f, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(unix.Flock(int(f.Fd()), unix.LOCK_EX))
	ts.Defer(func() { _ = f.Close() })
}

// host DIR CA hosts the files of a folder over https, as JSON, as long as the script runs. The variable HOSTED gets the URL,
// the file CA the certificate to trust.
func hostFiles(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: host DIR CA")
	}
	files := http.FileServer(http.Dir(ts.MkAbs(args[0])))
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		files.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), ca, 0o600))
	ts.Setenv("HOSTED", server.URL)
}

// hardened is a program that hardens itself as postern does, and says what it is then: R-PROC-1.
func hardened() {
	err := forget(os.Args[1:])
	shown, _ := os.ReadFile("/proc/self/environ") // while it can still be read
	err = errors.Join(err, harden(nil))
	for _, name := range append(os.Args[1:], "OTHER") {
		_, found := os.LookupEnv(name)
		_, value, _ := strings.Cut(string(shown), name+"=")
		fmt.Printf("%s: found=%t shown=%t\n", name, found, value != "" && value[0] != 0)
	}
	dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	var core unix.Rlimit
	err = errors.Join(err, unix.Getrlimit(unix.RLIMIT_CORE, &core))
	fmt.Printf("harden: %v, dumpable: %d, core: %d/%d\n", err, dumpable, core.Cur, core.Max)
}

// handover NAME=ADDRESS… COMMAND… becomes the command and hands over to it sockets that listen there, as systemd does.
func handover() {
	args, names := os.Args[1:], []string{}
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
	}
	umask := syscall.Umask(0o117)
	for strings.Contains(args[0], "=") {
		name, address, _ := strings.Cut(args[0], "=")
		args = args[1:]
		network := "tcp"
		if path, ok := strings.CutPrefix(address, "unix:"); ok {
			network, address = "unix", path
		}
		if mode, open := strings.CutPrefix(name, "open-"); open { // as SocketMode= is by default
			name = mode
			syscall.Umask(0)
		}
		l, err := net.Listen(network, address)
		fail(err)
		f, err := l.(interface{ File() (*os.File, error) }).File()
		fail(err)
		fail(unix.Dup3(int(f.Fd()), 100+len(names), 0))
		names = append(names, name)
	}
	syscall.Umask(umask)
	for i := range names {
		fail(unix.Dup3(100+i, 3+i, 0))
		fail(unix.Close(100 + i))
	}
	for name, value := range map[string]string{"LISTEN_PID": strconv.Itoa(os.Getpid()), "LISTEN_FDS": strconv.Itoa(len(names)), "LISTEN_FDNAMES": strings.Join(names, ":")} {
		if _, given := os.LookupEnv(name); !given {
			fail(os.Setenv(name, value))
		}
	}
	path, err := exec.LookPath(args[0])
	fail(err)
	fail(syscall.Exec(path, args, os.Environ()))
}
