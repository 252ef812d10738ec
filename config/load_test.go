package config_test

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-auth/postern/config"
)

var ignoreUnexported = cmpopts.IgnoreUnexported(config.Config{}, config.Secret{}, config.File{})

func TestOneLineIsAWholeFile(t *testing.T) {
	want := &config.Config{
		File:         "postern.yaml",
		Version:      1,
		Profile:      config.ProfileDefault,
		DataDir:      "data",
		Environments: []config.Environment{{Name: "LIVE", KeyPrefix: "live_"}},
		Listen:       config.Listen{Authz: config.Address{Network: "unix", Text: "data/authz.sock"}},
		Authz:        config.Authz{SocketMode: 0o660, OnFailure: config.OnFailureDeny},
		Shutdown:     config.Shutdown{Delay: 5 * time.Second, Deadline: 20 * time.Second},
		CacheSize:    64 << 20,
		PathCheck:    config.PathCheckStrict,
		DefaultPolicy: config.Demands{
			Auth: config.AuthKeyOrToken, EndUser: config.EndUserOptional,
			Credentials: config.CredentialsStrip, Preflight: config.PreflightDeny,
		},
		Telemetry: config.Telemetry{Log: config.Log{Level: config.LogInfo, Format: config.LogJSON, Decisions: config.DecisionsDenied}},
		ProfileSettings: config.ProfileSettings{
			IdentityMode: config.IdentityOff, UpstreamAuthorization: config.CredentialsStrip, UpstreamCredentials: config.CredentialsStrip,
			RateLimitHeaders: config.RateLimitHeadersAlways, TokenAlgorithm: config.TokenAlgorithmEdDSA, TokenScope: "user:self",
			RotateEvery: 2160 * time.Hour, AccessTTL: time.Hour, RefreshTTL: 720 * time.Hour, BasePath: "/api/v1",
		},
	}
	got := valid(t, "version: 1\n")
	if diff := cmp.Diff(want, got, ignoreUnexported); diff != "" {
		t.Errorf("Load of one line (-want +got):\n%s", diff)
	}
	if got.Listed("environments") || !got.Listed("version") {
		t.Error("Listed does not tell the file from the defaults")
	}
}

func TestEveryKeyReachesItsField(t *testing.T) {
	c := valid(t, `
version: 1
profile: mlm
data_dir: /srv/postern
public_url: https://app.example.com/
pepper: { file: pepper }
environments:
  - { name: LIVE, key_prefix: mlm_live_ }
  - { name: SANDBOX, key_prefix: mlm_sandbox_ }
listen: { authz: "unix:///run/authz.sock", admin: "127.0.0.1:9193", health: "0.0.0.0:9194" }
authz:
  socket_mode: 0600
  tls: { cert: a.pem, key: { file: a.key }, client_ca: a.pem }
  shared_secret: { env: SHARED_SECRET }
  trusted_hops: 2
shutdown: { delay: 0s, deadline: 1m30s }
cache_size: 1048576
path_check: decode_once
reject_spoofed: true
headers: { tenant_id: X-Account }
errors: { rate_limited: { message: Slow down, code: SLOW } }
policies:
  - name: write-notes
    hosts: [api.example.com]
    paths: ["/v1/notes/{id}"]
    methods: [POST, OPTIONS]
    auth: key
    permissions: [note:create]
    environments: [LIVE]
    end_user: forbidden
    cidrs: [10.0.0.0/8]
    preflight: allow
    upgrades: []
default_policy: { auth: key }
upstream_credentials: keep
telemetry: { log: { level: debug, format: text, decisions: all } }
`)
	policy := config.Policy{
		Name: "write-notes", Hosts: []string{"api.example.com"}, Paths: []string{"/v1/notes/{id}"}, Methods: []string{"POST", "OPTIONS"},
		Demands: config.Demands{
			Auth: config.AuthKey, Permissions: []string{"note:create"}, Environments: []string{"LIVE"}, EndUser: config.EndUserForbidden,
			CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Credentials: config.CredentialsKeep, Preflight: config.PreflightAllow,
			Upgrades: []string{},
		},
	}
	for _, field := range []struct {
		name      string
		got, want any
	}{
		{"data_dir", c.DataDir, "/srv/postern"},
		{"public_url without its slash", c.PublicURL, "https://app.example.com"},
		{"issuer", c.Issuer, "https://app.example.com"},
		{"token_audience", c.TokenAudience, "https://app.example.com"},
		{"gateway_audiences", c.GatewayAudiences, []string{"https://app.example.com"}},
		{"pepper without its newline", string(c.Pepper.Bytes()), strings.Repeat("p", 32)},
		{"environments", c.Environments, []config.Environment{{Name: "LIVE", KeyPrefix: "mlm_live_"}, {Name: "SANDBOX", KeyPrefix: "mlm_sandbox_"}}},
		{"listen.authz", c.Listen.Authz, config.Address{Network: "unix", Text: "/run/authz.sock"}},
		{"listen.admin", c.Listen.Admin.String(), "127.0.0.1:9193"},
		{"listen.api", c.Listen.API.IsZero(), true},
		{"authz.socket_mode", c.Authz.SocketMode, fs.FileMode(0o600)},
		{"authz.tls.cert", c.Authz.TLS.Cert.Path, "a.pem"},
		{"authz.tls.client_ca", c.Authz.TLS.ClientCA.Bytes(), c.Authz.TLS.Cert.Bytes()},
		{"authz.shared_secret", string(c.Authz.SharedSecret.Bytes()), "between-envoy-and-us"},
		{"authz.trusted_hops", c.Authz.TrustedHops, 2},
		{"shutdown", c.Shutdown, config.Shutdown{Deadline: 90 * time.Second}},
		{"cache_size", c.CacheSize, config.Size(1 << 20)},
		{"path_check", c.PathCheck, config.PathCheckDecodeOnce},
		{"reject_spoofed", c.RejectSpoofed, true},
		{"headers", c.Headers, map[string]string{"tenant_id": "X-Account"}},
		{"errors", c.Errors, map[string]config.ErrorText{"rate_limited": {Message: "Slow down", Code: "SLOW"}}},
		{"policies", c.Policies, []config.Policy{policy}},
		{"default_policy", c.DefaultPolicy, config.Demands{Auth: config.AuthKey, EndUser: "optional", Credentials: "keep", Preflight: "deny"}},
		{"telemetry", c.Telemetry.Log, config.Log{Level: config.LogDebug, Format: config.LogText, Decisions: config.DecisionsAll}},
	} {
		if diff := cmp.Diff(field.want, field.got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", field.name, diff)
		}
	}
}

func TestDefaultsDependOnTheProfile(t *testing.T) {
	for _, profile := range []struct {
		name             string
		environments     []config.Environment
		rateLimitHeaders config.RateLimitHeaders
	}{
		{"default", []config.Environment{{Name: "LIVE", KeyPrefix: "live_"}}, config.RateLimitHeadersAlways},
		{"mka1", []config.Environment{{Name: "LIVE", KeyPrefix: "mk-"}}, config.RateLimitHeadersOn429},
		{"mlm", []config.Environment{{Name: "LIVE", KeyPrefix: "mlm_live_"}, {Name: "SANDBOX", KeyPrefix: "mlm_sandbox_"}}, config.RateLimitHeadersAlways},
	} {
		t.Run(profile.name, func(t *testing.T) {
			c := valid(t, "version: 1\nprofile: "+profile.name+"\n")
			if diff := cmp.Diff(profile.environments, c.Environments); diff != "" {
				t.Errorf("environments (-want +got):\n%s", diff)
			}
			if c.RateLimitHeaders != profile.rateLimitHeaders {
				t.Errorf("rate_limit_headers = %q, want %q", c.RateLimitHeaders, profile.rateLimitHeaders)
			}
		})
	}
	t.Run("what the profile does with credentials holds where a policy says nothing", func(t *testing.T) {
		c := valid(t, "version: 1\nprofile: mka1\nupstream_authorization: keep\npolicies: [{ name: a }, { name: b, credentials: strip }]\n")
		got := []config.Credentials{c.Policies[0].Credentials, c.Policies[1].Credentials, c.DefaultPolicy.Credentials}
		if diff := cmp.Diff([]config.Credentials{"keep", "strip", "keep"}, got); diff != "" {
			t.Errorf("credentials (-want +got):\n%s", diff)
		}
	})
}

func TestRelativePathsCountFromTheFilesFolder(t *testing.T) {
	d := around("")
	d.files["/etc/postern/postern.yaml"] = "version: 1\npepper: { file: secret/pepper }\n"
	d.files["/etc/postern/secret/pepper"] = strings.Repeat("p", 32)
	c, err := config.Load("/etc/postern/postern.yaml", d.sources())
	if err != nil {
		t.Fatal(err)
	}
	if c.DataDir != "/etc/postern/data" || c.Pepper.Source() != `file "/etc/postern/secret/pepper"` {
		t.Errorf("data_dir = %q, pepper from %s", c.DataDir, c.Pepper.Source())
	}
}

// R-CONF-1: a file that says anything but what it must is refused, everything at once, in the order of the lines.
func TestAllProblemsComeTogether(t *testing.T) {
	golden := filepath.Join("testdata", "all-at-once.yaml")
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got := problems(t, string(text))
	var want []string
	for i, line := range strings.Split(string(text), "\n") {
		for mark := range strings.SplitSeq(line, " #: ") {
			if !strings.HasPrefix(line, mark) {
				want = append(want, fmt.Sprintf("postern.yaml:%d: %s", i+1, mark))
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// R-CONF-1: strict reading.
func TestTheFileIsReadStrictly(t *testing.T) {
	for _, test := range []struct{ name, yaml, want string }{
		{"an empty file is told where to begin", "", "1: version: is missing: the file is empty; begin with version: 1"},
		{"a file of comments is empty", "# nothing\n", "1: version: is missing: the file is empty; begin with version: 1"},
		{"an empty document is empty", "---\n...\n", "1: version: is missing: the file is empty; begin with version: 1"},
		{"a missing version has the line of the file's first key", "# Postern\nprofile: mlm\n", "2: version: is missing; add version: 1"},
		{"a list is no file", "- version: 1\n", "1: .: the file is a list, not keys and values; begin with version: 1"},
		{"a second document is found", "version: 1\n---\nversion: 1\n", "2: .: a second document begins here; keep one, without a line ---"},
		{"an empty second document is found", "version: 1\n---\n", "2: .: a second document begins here; keep one, without a line ---"},
		{"broken text behind the document is found", "version: 1\n...\nx: [\n", "4: .: this is not YAML: did not find expected node content; check the indentation, quotes and brackets here and above"},
		{"what is not YAML stops there", "version: 1\npolicies: [\n", "3: .: this is not YAML: did not find expected node content; check the indentation, quotes and brackets here and above"},
		{"a path in brackets wants quotes", "version: 1\npolicies:\n  - paths: [/notes/{id}]\n", "3: .: this is not YAML: did not find expected ',' or ']'; check the brackets here and above, and quote a text that holds one of , [ ] { }"},
		{"a tab is named", "version: 1\nauthz:\n\ttrusted_hops: 1\n", "3: .: this is not YAML: found character that cannot start any token; indent with spaces, not with tabs, and quote a value that begins with a sign"},
		{"bytes that are no UTF-8 have a line", "version: 1\nprofile: \xff\n", "2: .: the text is not UTF-8, or holds control characters; save the file as UTF-8 text"},
		{"a control character has a line", "version: 1\n\nprofile: \"\x01\"\n", "3: .: the text is not UTF-8, or holds control characters; save the file as UTF-8 text"},
		{"a line break of old is refused", "version: 1\rprofile: mlm\n", "1: .: the text is not UTF-8, or holds control characters; save the file as UTF-8 text"},
		{"UTF-16 is refused", "\xff\xfev\x00", "1: .: the text is not UTF-8, or holds control characters; save the file as UTF-8 text"},
		{"nesting ends somewhere", "version: " + strings.Repeat("[", 100), "1: .: this is not YAML: exceeded max depth of 32; check the indentation, quotes and brackets here and above"},
		{"a near miss is guessed", "version: 1\npublicurl: https://x.example\n", "2: publicurl: is not a key here; did you mean public_url?"},
		{"swapped letters are guessed", "version: 1\nprofiel: mlm\n", "2: profiel: is not a key here; did you mean profile?"},
		{"a key in the wrong place is sent to its own", "version: 1\nlisten: { level: info }\n", "2: listen.level: is not a key here; it belongs at telemetry.log.level"},
		{"a key like none gets the list", "version: 1\nshutdown: { whatsoever: 1 }\n", "2: shutdown.whatsoever: is not a key here; remove it; the keys here are delay, deadline"},
		{"an odd key stays on its line", "version: 1\n\"a\\nb: c\": 1\n", `2: ["a\nb: c"]: is not a key here; remove it; the keys here are `},
		{"a key given twice names the first", "version: 1\nprofile: mlm\nprofile: mka1\n", "3: profile: is given on line 2 already; keep one of them"},
		{"a key given twice in braces is found", "version: 1\nshutdown: { delay: 1s, delay: 2s }\n", "2: shutdown.delay: is given on line 2 already; keep one of them"},
		{"a merge key is refused", "version: 1\nshutdown:\n  <<: { delay: 1s }\n", `3: shutdown["<<"]: a key must be a word here; write each key out`},
		{"a list as a key is refused", "version: 1\n? [a]\n: 1\n", `2: [""]: a key must be a word here; write each key out`},
		{"a key without a value is no default", "version: 1\npolicies:\n  - name: a\n    permissions:\n", "4: policies[0].permissions: has no value; give it one, or remove the key for its default"},
		{"an empty item is refused", "version: 1\npolicies: [{ name: a, permissions: [~] }]\n", "2: policies[0].permissions[0]: has no value; give it one, or remove the key for its default"},
		{"a number in quotes is a text", "version: \"1\"\n", `1: version: is a text: "1" stands in quotes; write 1 without them`},
		{"so is true", "version: 1\nreject_spoofed: 'true'\n", `2: reject_spoofed: is a text: "true" stands in quotes; write true without them`},
		{"a tag is refused", "version: !!int 1\n", "1: version: is marked with a YAML tag; write the plain value, in quotes if it begins with !"},
		{"an alias to nothing does not repeat what may be a secret", "version: 1\nauthz: { shared_secret: *hunter2 }\n", "2: .: this is not YAML: an alias to nothing; quote a value that begins with *"},
		{"a list is no duration", "version: 1\nshutdown: { delay: [5s] }\n", "2: shutdown.delay: is a list; write it with units, like 500ms, 10s or 720h"},
		{"a mapping is no word", "version: 1\nprofile: { name: mlm }\n", "2: profile: is a mapping; write one of default, mka1, mlm"},
		{"a long value is cut", "version: 1\nprofile: " + strings.Repeat("x", 200) + "\n", `2: profile: "` + strings.Repeat("x", 80) + `"… is none of default, mka1, mlm; write one of them`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := problems(t, test.yaml)
			if len(got) != 1 || !strings.HasPrefix(got[0], "postern.yaml:"+test.want) {
				t.Errorf("Load finds %q, want one that begins with %q", got, test.want)
			}
		})
	}
}

func TestAliasesAreReadWithinBounds(t *testing.T) {
	t.Run("a list may be shared", func(t *testing.T) {
		c := valid(t, "version: 1\npolicies:\n  - { name: a, hosts: &h [a.example.com] }\n  - { name: b, hosts: *h }\n")
		if diff := cmp.Diff(c.Policies[0].Hosts, c.Policies[1].Hosts); diff != "" {
			t.Errorf("hosts (-first +second):\n%s", diff)
		}
	})
	t.Run("a bomb is refused", func(t *testing.T) {
		yaml := "version: 1\npolicies:\n  - &p { name: a, hosts: [" + strings.Repeat("h, ", 1000) + "h] }\n" + strings.Repeat("  - *p\n", 1000)
		for _, p := range problems(t, yaml) {
			if strings.Contains(p, "aliases stand for more than 10000 values; write the values out") {
				return
			}
		}
		t.Error("Load reads on")
	})
	t.Run("an alias to itself ends", func(t *testing.T) {
		if got := problems(t, "version: 1\nheaders: &x { a: *x }\n"); len(got) != 1 {
			t.Errorf("Load finds %q, want one problem", got)
		}
	})
}

func TestAFileThatCannotBeReadIsAProblemToo(t *testing.T) {
	_, err := config.Load("missing.yaml", around("").sources())
	want := "missing.yaml:1: .: the file cannot be read: no such file or directory; give a readable file with --config or in POSTERN_CONFIG"
	if err == nil || err.Error() != want {
		t.Errorf("Load = %v, want %s", err, want)
	}
	d := around("version: 1\n" + strings.Repeat("#", 4<<20))
	if _, got := d.load(t); len(got) != 1 || !strings.Contains(got[0], "of at most 4194304") {
		t.Errorf("Load of too many bytes finds %q", got)
	}
	d = around("version: 1\npepper: { file: /huge }\n")
	d.files["/huge"] = strings.Repeat("p", 4<<20+1)
	if _, got := d.load(t); len(got) != 1 || !strings.Contains(got[0], `the file "/huge" has more than 4194304 bytes`) {
		t.Errorf("Load with too large a secret finds %q", got)
	}
}

func TestLineFollowsAPathToWhatTheFileHolds(t *testing.T) {
	c := valid(t, "# first\nversion: 1\npolicies:\n  - name: a\n    paths:\n      - /a\n      - /b\n  -\n    name: b\n")
	for path, want := range map[string]int{
		"version": 2, "policies": 3, "policies[0]": 4, "policies[0].paths": 5, "policies[0].paths[1]": 7, "policies[1]": 9,
		"policies[1].paths[3]": 9, "policies[7]": 3, "listen.authz": 2, "": 2, ".": 2,
	} {
		if got := c.Line(path); got != want {
			t.Errorf("Line(%q) = %d, want %d", path, got, want)
		}
	}
	if got := c.Problem("policies[0].paths[1]", "is odd", "mend it").String(); got != "postern.yaml:7: policies[0].paths[1]: is odd; mend it" {
		t.Errorf("Problem = %s", got)
	}
}

func TestTenThousandPoliciesAreReadInTime(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\npolicies:\n")
	for i := range 10_000 {
		fmt.Fprintf(&b, "  - { name: p%d, paths: [\"/p%d/{id}\"], permissions: [note:read] }\n", i, i)
	}
	if c := valid(t, b.String()); len(c.Policies) != 10_000 || c.Line("policies[9999].paths[0]") != 10_002 {
		t.Errorf("%d policies, the last on line %d", len(c.Policies), c.Line("policies[9999].paths[0]"))
	}
}

func TestAUsefulFileIsTenLines(t *testing.T) {
	c := valid(t, `version: 1
profile: mlm
data_dir: ./data
environments:
  - { name: LIVE,    key_prefix: mlm_live_ }
  - { name: SANDBOX, key_prefix: mlm_sandbox_ }
listen:
  authz: unix:///run/postern/authz.sock
  api:   127.0.0.1:9192
  admin: 127.0.0.1:9193
`)
	want := []string{"postern.yaml:9: listen.api: clients and tokens name this Postern \"http://127.0.0.1:9192\", as public_url is not set; set public_url to the address that clients use"}
	if diff := cmp.Diff(want, texts(c.Warnings)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if !c.Listed("environments") || c.Listen.Authz.String() != "unix:///run/postern/authz.sock" || c.Listen.Admin.Text != "127.0.0.1:9193" {
		t.Errorf("Load = %+v", c)
	}
}
