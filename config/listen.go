package config

import "io/fs"

// Listen has an address for each listener: host:port, or unix:///path of at most 107 bytes.
type Listen struct {
	// Authz is where Envoy asks. Default: the socket authz.sock in data_dir, to which only the same user can connect.
	Authz Address `yaml:"authz"`
	// API is the public HTTP listener, behind Envoy: exchange of keys for tokens, their key sets, whoami. `postern render
	// envoy` routes there what belongs to it. It believes x-forwarded-for from loopback and Unix sockets only; a socket has
	// authz.socket_mode, without the rights of others. Left out: not served.
	API Address `yaml:"api"`
	// Admin is the HTTP listener of operators: what health serves and, with admin.token, management. Beyond loopback it
	// needs admin.tls, admin.token and admin.hosts. Left out: only the socket admin.sock in data_dir.
	Admin Address `yaml:"admin"`
	// Health serves /livez, /readyz, /healthz and /metrics without credentials, for kubelet and Prometheus. Left out:
	// not served.
	Health Address `yaml:"health"`
}

// Authz is about the listener that Envoy asks: who may ask, and what it may believe.
type Authz struct {
	// SocketMode of the Unix socket, octal. Default: 0660, for a group that Envoy shares.
	SocketMode fs.FileMode `yaml:"socket_mode"`
	// TLS of the listener; with client_ca only callers with a certificate of that authority may ask.
	TLS *TLS `yaml:"tls"`
	// SharedSecret is expected in the metadata x-postern-secret of every call. Without it nothing is evaluated: 503.
	SharedSecret *Secret `yaml:"shared_secret"`
	// InsecurePlaintext is needed to listen on TCP beyond loopback with neither tls.client_ca nor shared_secret:
	// whoever reaches the port may ask. Default: false.
	InsecurePlaintext bool `yaml:"insecure_plaintext"`
	// TrustedHops says where the caller's address stands: 0 is Envoy's peer, n the n-th entry from the right of
	// x-forwarded-for. Too many let a client choose its address. Default: 0.
	TrustedHops int `yaml:"trusted_hops" jsonschema:"minimum=0,maximum=32"`
	// OnFailure says what a check gets that fails here, by a panic, a deadline, the store or overload: deny is 503 in any
	// case; error_response leaves it to Envoy's own failure mode (failure_mode_allow), so that such requests may pass
	// without authentication. Envoy 1.36 does not know it and denies with 403. Default: deny.
	OnFailure OnFailure `yaml:"on_failure"`
}

// API is about the public HTTP listener.
type API struct {
	// TLS of the listener, version 1.3 only; with client_ca only callers with a certificate of that authority may connect.
	TLS *TLS `yaml:"tls"`
}

// Admin is about the HTTP listener of operators. Import, export and backup stay on the socket admin.sock in data_dir.
type Admin struct {
	// TLS of the listener; with client_ca only those with a certificate of that authority may connect.
	TLS *TLS `yaml:"tls"`
	// Token that management over TCP demands, on loopback too: at least 32 characters. Left out: no management there.
	Token *Secret `yaml:"token"`
	// Hosts that a request for management may name, without port, against DNS rebinding. Default, on loopback:
	// localhost, 127.0.0.1 and [::1].
	Hosts []string `yaml:"hosts"`
}

// TLS is the identity of a listener, and whom it takes. Files are PEM; a relative path counts from the folder of this
// file.
type TLS struct {
	// Cert is the file of the certificate and its chain.
	Cert File `yaml:"cert" jsonschema:"required"`
	// Key of the certificate.
	Key Secret `yaml:"key" jsonschema:"required"`
	// ClientCA is the file of the authorities whose clients may connect. Left out: any client may.
	ClientCA *File `yaml:"client_ca"`
}

// OnFailure names what a check gets that cannot be answered.
type OnFailure string

// The answers to a failure.
const (
	OnFailureDeny          OnFailure = "deny"
	OnFailureErrorResponse OnFailure = "error_response"
)

func (OnFailure) values() []string { return names(OnFailureDeny, OnFailureErrorResponse) }
