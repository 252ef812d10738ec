package config_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rule is a file, as far as it follows version: 1, and what Load says about it.
type rule struct {
	name string
	yaml string
	want []string // problems, without the file's name
}

func allow(name, yaml string) rule                   { return rule{name, yaml, nil} }
func deny(name, yaml string, problem ...string) rule { return rule{name, yaml, problem} }

func check(t *testing.T, rules []rule) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			var got []string
			for _, p := range problems(t, "version: 1\n"+r.yaml) {
				got = append(got, strings.TrimPrefix(p, "postern.yaml:"))
			}
			if diff := cmp.Diff(r.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEnvironmentsTellKeysApart(t *testing.T) {
	check(t, []rule{
		allow("a separator behind a shared beginning tells minted keys apart",
			"environments: [{ name: LIVE, key_prefix: mk- }, { name: TEST, key_prefix: mk-test- }]"),
		deny("letters behind a shared beginning do not",
			"environments:\n  - { name: LIVE, key_prefix: mk }\n  - { name: TEST, key_prefix: mkt }",
			`4: environments[1].key_prefix: "mkt" and "mk", that of LIVE on line 3, begin alike: a key that begins with mkt could be of either; make neither the beginning of the other`),
		deny("nor does the order matter",
			"environments:\n  - { name: TEST, key_prefix: mkt }\n  - { name: LIVE, key_prefix: mk }",
			`4: environments[1].key_prefix: "mk" and "mkt", that of TEST on line 3, begin alike: a key that begins with mkt could be of either; make neither the beginning of the other`),
		deny("a prefix is of one environment",
			"environments:\n  - { name: LIVE, key_prefix: live_ }\n  - { name: TEST, key_prefix: live_ }",
			`4: environments[1].key_prefix: "live_" is that of LIVE on line 3 too; give each environment its own`),
		deny("a name is of one environment, whatever its case",
			"environments:\n  - { name: LIVE, key_prefix: a_ }\n  - { name: Live, key_prefix: b_ }",
			`4: environments[1].name: "Live" is the name of the environment on line 3 too; give each its own, different in more than case`),
		deny("both halves are needed",
			"environments:\n  - { name: LIVE }\n  - { key_prefix: test_ }",
			"3: environments[0].key_prefix: is missing; add it", "4: environments[1].name: is missing; add it"),
		deny("there are not that many", "environments:"+strings.Repeat("\n  - { name: A, key_prefix: a_ }", 257),
			"2: environments: 257 are too many, of at most 256; tell customers apart by tenant"),
		deny("names and prefixes fit into headers and keys",
			"environments: [{ name: \"LIVE\\n\", key_prefix: \"é\" }]",
			`2: environments[0].name: "LIVE\n" is not a name for an environment; write 1 to 64 letters, digits, dots, dashes or underscores, like LIVE`,
			`2: environments[0].key_prefix: "é" is not a prefix for keys; write 1 to 32 letters, digits, dashes or underscores, like live_`),
	})
}

// R-GRPC-1: whoever can reach the listener proves something, or the operator says that nothing is proven.
func TestAdmissionToChecks(t *testing.T) {
	const open = ` can be reached from other machines, and callers prove nothing; set authz.tls.client_ca or authz.shared_secret, or authz.insecure_plaintext: true where the network keeps others out`
	check(t, []rule{
		allow("a Unix socket", `listen: { authz: "unix:///run/postern/authz.sock" }`),
		allow("loopback", "listen: { authz: 127.0.0.1:9191 }"),
		allow("loopback by another address", "listen: { authz: 127.8.8.8:9191 }"),
		allow("loopback in IPv6", `listen: { authz: "[::1]:9191" }`),
		allow("loopback by name", "listen: { authz: localhost:9191 }"),
		deny("every address", "listen: { authz: 0.0.0.0:9191 }", `2: listen.authz: "0.0.0.0:9191"`+open),
		deny("no address", `listen: { authz: ":9191" }`, `2: listen.authz: ":9191"`+open),
		deny("a name", "listen: { authz: postern.internal:9191 }", `2: listen.authz: "postern.internal:9191"`+open),
		deny("an address of the machine", "listen: { authz: 10.0.0.7:9191 }", `2: listen.authz: "10.0.0.7:9191"`+open),
		deny("TLS that takes every client", "listen: { authz: 0.0.0.0:9191 }\nauthz: { tls: { cert: a.pem, key: { file: a.key } } }", `2: listen.authz: "0.0.0.0:9191"`+open),
		allow("TLS that takes some clients", "listen: { authz: 0.0.0.0:9191 }\nauthz: { tls: { cert: a.pem, key: { file: a.key }, client_ca: a.pem } }"),
		allow("a shared secret", "listen: { authz: 0.0.0.0:9191 }\nauthz: { shared_secret: { file: token } }"),
		allow("plaintext, said so", "listen: { authz: 0.0.0.0:9191 }\nauthz: { insecure_plaintext: true }"),
		deny("a socket that every user may open", "authz: { socket_mode: 0666 }",
			"2: authz.socket_mode: 0666 lets every user of this machine connect, and callers prove nothing; write 0660 and share a group with Envoy, or set authz.shared_secret"),
		allow("the same with a shared secret", "authz: { socket_mode: 0666, shared_secret: { file: token } }"),
		deny("a shared secret that metadata cannot carry", `authz: { shared_secret: { env: TLS_KEY } }`,
			`2: authz.shared_secret: the variable "TLS_KEY" holds what metadata cannot carry; use printable ASCII without spaces, like the output of: openssl rand -hex 32`),
		deny("a key and no certificate", "authz: { tls: { cert: a.key, key: { file: a.key } } }",
			`2: authz.tls.cert: "a.key" and the file "a.key" are no pair: tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched; give the PEM of a certificate and of its private key`),
	})
}

// R-ADM-1: beyond this machine management needs TLS, a token and the names of the listener; without all three there is no start.
func TestAdminStaysOnThisMachineOrProtectsItself(t *testing.T) {
	const (
		reached = ` can be reached from other machines, without `
		remedy  = `; set all of admin.tls, admin.token and admin.hosts, or listen on loopback, like 127.0.0.1:9193; listen.health serves metrics and health to others`
		refused = reached + `admin.tls, admin.token, admin.hosts` + remedy
		tls     = "tls: { cert: a.pem, key: { file: a.key } }"
		token   = "token: { file: token }"
		hosts   = "hosts: [admin.example.com]"
		public  = "listen: { admin: 0.0.0.0:9193 }\nadmin: { "
		local   = "listen: { admin: 127.0.0.1:9193 }\nadmin: { "
		at      = `2: listen.admin: "0.0.0.0:9193"`
		weak    = "; make one with: openssl rand -hex 32"
		noHost  = " is not the name of a host; write it without scheme, port and path, like admin.example.com"
	)
	check(t, []rule{
		allow("loopback", "listen: { admin: 127.0.0.1:9193 }"),
		allow("a Unix socket", `listen: { admin: "unix:///run/postern/operators.sock" }`),
		deny("every address", "listen: { admin: 0.0.0.0:9193 }", `2: listen.admin: "0.0.0.0:9193"`+refused),
		deny("another address", "listen: { admin: 192.0.2.1:9193 }", `2: listen.admin: "192.0.2.1:9193"`+refused),
		deny("a name", "listen: { admin: postern.internal:9193 }", `2: listen.admin: "postern.internal:9193"`+refused),
		allow("all three", public+tls+", "+token+", "+hosts+" }"),
		deny("no TLS", public+token+", "+hosts+" }", at+reached+"admin.tls"+remedy),
		deny("no token", public+tls+", "+hosts+" }", at+reached+"admin.token"+remedy),
		deny("no hosts", public+tls+", "+token+" }", at+reached+"admin.hosts"+remedy),
		deny("an empty list of hosts", public+tls+", "+token+", hosts: [] }", at+reached+"admin.hosts"+remedy),
		deny("a token that is wrong is not missing", public+tls+", token: { env: UNSET }, "+hosts+" }",
			`3: admin.token: the variable "UNSET" is not set; set it, or name another`),
		allow("on loopback a token is enough", local+token+" }"),
		deny("a token that can be guessed", local+"token: { file: short } }", `3: admin.token: the file "short" holds what a Bearer token cannot`+weak),
		deny("a shorter one", local+"token: { env: SHARED_SECRET } }", `3: admin.token: the variable "SHARED_SECRET" holds 20 characters, of at least 32`+weak),
		deny("an empty one", local+"token: { env: EMPTY } }", `3: admin.token: the variable "EMPTY" is empty; put the secret into it`),
		deny("a certificate and no key", local+"tls: { cert: a.pem, key: { file: token } } }",
			`3: admin.tls.cert: "a.pem" and the file "token" are no pair: tls: failed to find any PEM data in key input; give the PEM of a certificate and of its private key`),
		deny("a client_ca that is none", local+"tls: { cert: a.pem, key: { file: a.key }, client_ca: token } }",
			`3: admin.tls.client_ca: "token" holds no certificate; give the PEM of the authority that signs the certificates of those who connect`),
		allow("hosts by name and address", local+token+`, hosts: [admin.example.com, localhost, 192.0.2.1, "::1", "[2001:db8::1]"] }`),
		deny("hosts that no request names", local+token+`, hosts: ["https://a.example", "a.example:443", "*.example.com", "a/b", "[::1", "fe80::1%eth0"] }`,
			`3: admin.hosts[0]: "https://a.example"`+noHost, `3: admin.hosts[1]: "a.example:443"`+noHost, `3: admin.hosts[2]: "*.example.com"`+noHost,
			`3: admin.hosts[3]: "a/b"`+noHost, `3: admin.hosts[4]: "[::1"`+noHost, `3: admin.hosts[5]: "fe80::1%eth0"`+noHost),
		allow("health may be anywhere", "listen: { health: 0.0.0.0:9194 }"),
	})
}

func TestAdminKeysWithoutAnythingToProtect(t *testing.T) {
	const unheard = " has no effect: listen.admin is not set; set listen.admin, or remove it: the socket admin.sock in data_dir needs none of it"
	for yaml, want := range map[string][]string{
		"version: 1\nadmin: { token: { file: token }, hosts: [a.example], tls: { cert: a.pem, key: { file: a.key } } }": {
			"postern.yaml:2: admin.hosts:" + unheard, "postern.yaml:2: admin.tls:" + unheard, "postern.yaml:2: admin.token:" + unheard,
		},
		"version: 1\nlisten: { admin: 127.0.0.1:9193 }\nadmin: { hosts: [a.example] }": {
			"postern.yaml:3: admin.hosts: has no effect without admin.token: nothing is managed on this listener; set admin.token, or remove it",
		},
		"version: 1\nlisten: { admin: 127.0.0.1:9193 }\nadmin: { hosts: [a.example], token: { file: token } }": nil,
	} {
		got := texts(valid(t, yaml).Warnings)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n%s", yaml, diff)
		}
	}
}

func TestListenersHaveAddressesOfTheirOwn(t *testing.T) {
	long := "/" + strings.Repeat("d", 107)
	check(t, []rule{
		deny("one address twice", "listen:\n  health: 127.0.0.1:9194\n  admin: 127.0.0.1:9194",
			`4: listen.admin: "127.0.0.1:9194" is given to two listeners (listen.health is on line 3); give each its own address`),
		allow("any free port twice", "listen: { health: 127.0.0.1:0, admin: 127.0.0.1:0 }"),
		deny("the operators' socket", "data_dir: /data\nlisten: { authz: \"unix:///data/admin.sock\" }",
			`3: listen.authz: "unix:///data/admin.sock" is the socket for operators; choose another name`),
		allow("a socket's path of 107 bytes", `listen: { authz: "unix://`+long[:107]+`" }`),
		deny("one of 108", `listen: { authz: "unix://`+long[:108]+`" }`,
			"2: listen.authz: the socket's path has 108 bytes, of at most 107; choose a shorter folder"),
		deny("a data folder too deep for its sockets", "data_dir: "+long,
			"2: data_dir: the socket's path has 119 bytes, of at most 107; choose a shorter folder"),
		deny("a relative socket", `listen: { authz: "unix://authz.sock" }`,
			`2: listen.authz: "unix://authz.sock" is not the address of a socket; write unix:// and an absolute path, like unix:///run/postern/authz.sock`),
		deny("a port out of range", "listen: { health: 127.0.0.1:65536 }",
			`2: listen.health: "127.0.0.1:65536" has no port number; write host:port with a port from 0 to 65535, like 127.0.0.1:9191`),
		deny("an IPv6 address that YAML takes for a list", "listen: { health: [::1]:9194 }",
			"2: .: this is not YAML: did not find expected ',' or '}'; check the brackets here and above, and quote a text that holds one of , [ ] { }"),
	})
}

func TestPoliciesDoNotContradictThemselves(t *testing.T) {
	const public = "auth: none reads no credential, so "
	check(t, []rule{
		allow("a policy needs no name", "policies: [{ paths: [/a], auth: none }, { paths: [/b] }]"),
		deny("a name is of one policy", "policies:\n  - name: a\n  - name: a",
			`4: policies[1].name: "a" is the name of the policy on line 3 too; give each its own`),
		deny("a name can be seen", `policies: [{ name: "a\tb" }, { name: " a" }]`,
			`2: policies[0].name: "a\tb" is not a name for a policy; write at most 128 characters that can be seen`,
			`2: policies[1].name: " a" is not a name for a policy; write at most 128 characters that can be seen`),
		deny("paths are not matched unchecked", "policies:\n  - paths: [/a]\n  - hosts: [a.example.com]\npath_check: off",
			"5: path_check: paths cannot be matched safely with path_check: off, because two readers of one path may differ (policies[0].paths is on line 3); write path_check: strict or decode_once, or match by host and context_extensions"),
		allow("without paths they may be unchecked", "path_check: off\npolicies: [{ hosts: [a.example.com] }]"),
		deny("a preflight is an OPTIONS request", "policies:\n  - preflight: allow\n    methods: [GET]",
			"4: policies[0].methods: preflight: allow is about OPTIONS, which methods exclude (policies[0].preflight is on line 3); add OPTIONS to methods"),
		allow("methods left out include it", "policies: [{ preflight: allow }]"),
		deny("what is public demands no permission", "policies:\n  - { auth: none, permissions: [a:b] }",
			"3: policies[0].permissions: "+public+"permissions cannot be demanded (policies[0].auth is on line 3); remove permissions, or demand a credential"),
		deny("nor anything else of a credential", "policies:\n  - environments: [LIVE]\n    # and\n    end_user: required\n    auth: none",
			"6: policies[0].auth: "+public+"environments cannot be demanded (policies[0].environments is on line 3); remove environments, or demand a credential",
			"6: policies[0].auth: "+public+"end_user cannot be demanded (policies[0].end_user is on line 5); remove end_user, or demand a credential"),
		allow("but an address and an upgrade, which need none", "policies: [{ auth: none, cidrs: [10.0.0.0/8], upgrades: [websocket] }]"),
		deny("only what is listed is public", "default_policy: { auth: none }",
			"2: default_policy.auth: none would make public whatever is not listed; give what is public a policy of its own, with its paths and auth: none"),
		deny("the default policy matches everything", "default_policy: { paths: [/a] }",
			"2: default_policy.paths: is not a key here; it belongs at policies[].paths or paths"),
		deny("key and token stand in one header in most profiles", "policies: [{ auth: key_and_token }]",
			"2: policies[0].auth: key_and_token belongs to profile mlm, and this is default; remove it, or change profile"),
		allow("but not in mlm", "profile: mlm\npolicies: [{ auth: key_and_token }]"),
		deny("an environment that does not exist", "policies: [{ environments: [LIVE, live] }]",
			`2: policies[0].environments[1]: "live" is none of the environments; add it to environments, or write one of LIVE`),
	})
}

func TestAKeyOfAnotherProfileIsRefused(t *testing.T) {
	check(t, []rule{
		deny("mka1's in default", "identity_mode: off", "2: identity_mode: belongs to profile mka1, and this is default; remove it, or change profile"),
		deny("mlm's in mka1", "profile: mka1\naccess_ttl: 1h", "3: access_ttl: belongs to profile mlm, and this is mka1; remove it, or change profile"),
		deny("mka1's in mlm", "profile: mlm\nrotate_every: 24h", "3: rotate_every: belongs to profiles default and mka1, and this is mlm; remove it, or change profile"),
		deny("issuers in mka1", "profile: mka1\nissuers: []", "3: issuers: belongs to profile default, and this is mka1; remove it, or change profile"),
		deny("but an unknown profile is problem enough", "profile: kma1\naccess_ttl: 1h", `2: profile: "kma1" is none of default, mka1, mlm; did you mean mka1?`),
	})
}

func TestAddressesAndPathsOfOurOwn(t *testing.T) {
	check(t, []rule{
		allow("a public address with a path", "public_url: https://example.com/postern"),
		deny("without a scheme it is none", "public_url: //example.com", `2: public_url: "//example.com" is not a web address; write it like https://api.example.com`),
		deny("with a query it is more", "public_url: https://example.com/?a=b", `2: public_url: "https://example.com/?a=b" has more than scheme, host and path; write it like https://api.example.com`),
		deny("a password stands elsewhere", "public_url: https://a:b@example.com", "2: public_url: holds a user's name or password; write it like https://api.example.com"),
		deny("paths in the order of their names", "profile: mka1\npaths: { b: b, a: a }",
			`3: paths.a: "a" is not a path; write it like /api/v1/authentication/whoami`, `3: paths.b: "b" is not a path; write it like /api/v1/authentication/whoami`),
		deny("a tier that lets nothing pass", "profile: mlm\ntiers: { free: 0 }", "3: tiers.free: 0 lets nothing pass; write the requests per minute"),
		allow("tokens for the upstream", "profile: mlm\nupstream_credentials: identity_jwt\npublic_url: https://a.example.com"),
		allow("tokens for the upstream of an issuer of its own", "profile: mlm\ndefault_policy: { credentials: identity_jwt }\nissuer: https://id.example.com"),
		deny("tokens for the upstream that nobody signs", "profile: mlm\nupstream_credentials: identity_jwt",
			"3: upstream_credentials: identity_jwt needs to know who signs its tokens; add public_url, like https://api.example.com, or issuer"),
		deny("nor for one policy", "profile: mka1\nupstream_audience: https://b.example.com\ndefault_policy: { credentials: identity_jwt }",
			"4: default_policy.credentials: identity_jwt needs to know who signs its tokens; add public_url, like https://api.example.com, or issuer"),
		allow("an issuer of its own, and a key that signs for a day", "issuer: https://id.example.com\ntoken_algorithm: RS256\nrotate_every: 24h"),
		deny("more keys than clients take", "rotate_every: 23h", "2: rotate_every: 23h0m0s is too short; write at least 24h: old keys are published for 31 days"),
		allow("tokens as long as may be", "profile: mlm\naccess_ttl: 720h\nrefresh_ttl: 2160h\ntoken_scope: user:self note:read\ntoken_audience: urn:notes"),
		deny("tokens that live longer than they can be revoked", "profile: mlm\naccess_ttl: 721h", "3: access_ttl: 721h0m0s is too long; write at most 720h"),
		deny("refresh tokens that outlive their session", "profile: mlm\nrefresh_ttl: 2161h", "3: refresh_ttl: 2161h0m0s is too long; write at most 2160h"),
		deny("a scope that is no permission", "profile: mlm\ntoken_scope: user", `3: token_scope: "user" is not resource:action; write permissions such as user:self, with one space between two`),
		deny("a scope with a gap", "profile: mlm\ntoken_scope: user:self  note:read", `3: token_scope: "" is not resource:action; write permissions such as user:self, with one space between two`),
		deny("an audience that none is", "profile: mlm\ntoken_audience: 'a b'", `3: token_audience: "a b" is not an audience; write it like https://api.example.com, or remove it for public_url`),
		deny("an error that changes nothing", "errors: { forbidden: {}, bad_request: {} }",
			"2: errors.bad_request: changes nothing; give it a message or a code", "2: errors.forbidden: changes nothing; give it a message or a code"),
	})
}

func TestSecretsStandElsewhere(t *testing.T) {
	check(t, []rule{
		allow("in a variable", "authz: { shared_secret: { env: SHARED_SECRET } }"),
		deny("not in the file", "pepper: correct-horse", "2: pepper: a secret must not stand in this file; put it into a file or a variable, and write { file: PATH } or { env: NAME }"),
		deny("not in a list", "pepper: [correct-horse]", "2: pepper: a secret must not stand in this file; put it into a file or a variable, and write { file: PATH } or { env: NAME }"),
		deny("in one place", "pepper: { file: pepper, env: SHARED_SECRET }", "2: pepper: needs either file or env; write { file: PATH } or { env: NAME }"),
		deny("in some place", "pepper: {}", "2: pepper: needs either file or env; write { file: PATH } or { env: NAME }"),
		deny("in no third place", "pepper: { vault: a }", "2: pepper.vault: is not a key here; remove it; the keys here are file, env"),
		deny("in a variable that is set", "pepper: { env: UNSET }", `2: pepper: the variable "UNSET" is not set; set it, or name another`),
		deny("to something", "pepper: { env: EMPTY }", `2: pepper: the variable "EMPTY" is empty; put the secret into it`),
		deny("and name no value by mistake", "pepper: { file: [pepper] }", "2: pepper.file: is a list; write one text, in quotes if it begins with [ or {"),
		deny("in a file that is there", "pepper: { file: nowhere }", `2: pepper: the file "nowhere" cannot be read: no such file or directory; mend the path or the file's rights`),
	})
	t.Run("nobody else can change them", func(t *testing.T) {
		d := around("version: 1\npepper: { file: pepper }\n")
		d.modes["pepper"] = 0o602
		_, got := d.load(t)
		if diff := cmp.Diff([]string{`postern.yaml:2: pepper: others can write "pepper"; take their right away: chmod o-w`}, got); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
	})
	for mode, want := range map[fs.FileMode][]string{
		0o644: {`postern.yaml:2: pepper: others can read "pepper"; take their right away: chmod o-r`},
		0o640: nil,
		0o660: nil,
	} {
		t.Run("who else can read them is warned about: "+mode.String(), func(t *testing.T) {
			d := around("version: 1\npepper: { file: pepper }\n")
			d.modes["pepper"] = mode
			c, got := d.load(t)
			if got != nil {
				t.Fatalf("problems: %q", got)
			}
			if diff := cmp.Diff(want, texts(c.Warnings)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// R-CONF-1: what opens a door is warned about, and so is what has no effect.
func TestWarnings(t *testing.T) {
	c := valid(t, `version: 1
path_check: off
authz: { insecure_plaintext: true }
listen: { api: 127.0.0.1:9192, authz: 0.0.0.0:9191 }
policies: [{ methods: [get] }, { auth: token }]
rate_limit_headers: never
resource_metadata: false
accept_any_audience: false
telemetry: { traces: { enabled: false } }
`)
	want := []string{
		"postern.yaml:2: path_check: paths that two readers understand differently reach the upstream; write strict, unless the upstream reads no paths",
		`postern.yaml:3: authz.insecure_plaintext: whoever reaches "0.0.0.0:9191" may ask for decisions; prefer a Unix socket, authz.tls.client_ca or authz.shared_secret`,
		"postern.yaml:4: listen.api: clients and tokens name this Postern \"http://127.0.0.1:9192\", as public_url is not set; set public_url to the address that clients use",
		`postern.yaml:5: policies[0].methods[0]: "get" matches only in this case; did you mean GET?`,
		"postern.yaml:5: policies[1].auth: this version accepts no tokens, so all requests are refused; write key or key_or_token",
	}
	if diff := cmp.Diff(want, texts(c.Warnings)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// What is said about endpoints that are not served has no effect, and credentials should not cross a network in plain text.
func TestWarningsOfTheAPIListener(t *testing.T) {
	for text, want := range map[string][]string{
		"version: 1\npublic_url: https://a.example\nlisten: { api: 0.0.0.0:9192 }\n": {
			`postern.yaml:3: listen.api: "0.0.0.0:9192" can be reached from other machines, and credentials come there in plain text; set api.tls, or listen on loopback or a Unix socket beside Envoy`,
		},
		"version: 1\nprofile: mka1\nresource_metadata: true\npaths: { whoami: /me }\n": {
			"postern.yaml:3: resource_metadata: has no effect: listen.api is not set; set listen.api, or remove it",
			"postern.yaml:4: paths: has no effect: listen.api is not set; set listen.api, or remove it",
		},
		"version: 1\nresource_metadata: false\n":                                               nil,
		"version: 1\npublic_url: https://a.example\nlisten: { api: \"unix:///run/a.sock\" }\n": nil,
	} {
		if diff := cmp.Diff(want, texts(valid(t, text).Warnings)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// Where clients call is known from the listener, if from nothing else.
func TestPublicURLOfATrial(t *testing.T) {
	for text, want := range map[string]string{
		"version: 1\n": "",
		"version: 1\nlisten: { api: \"127.0.0.1:9192\" }\n":                                 "http://127.0.0.1:9192",
		"version: 1\nlisten: { api: \"127.0.0.1:0\" }\n":                                    "http://localhost",
		"version: 1\nlisten: { api: \"unix:///run/a.sock\" }\n":                             "http://localhost",
		"version: 1\npublic_url: https://a.example/\nlisten: { api: \"127.0.0.1:9192\" }\n": "https://a.example",
	} {
		if c := valid(t, text); c.PublicURL != want || c.Issuer != want {
			t.Errorf("%s: public_url %q, issuer %q, want %q", text, c.PublicURL, c.Issuer, want)
		}
	}
}
