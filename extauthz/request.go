package extauthz

// Request is what one Check asks about: the few fields of Envoy's CheckRequest that a decision reads.
//
// Its strings alias the message and live as long as the Check; copy what must outlive it.
type Request struct {
	Method   string // as sent: any token, any case
	Host     string // :authority as sent: any case, with port; may be empty
	Path     string // :path with the query, not decoded: the raw one where Envoy sent it
	Protocol string // "HTTP/1.1", "HTTP/2", …; for the log
	Source   string // the peer's IP address as text; empty when there is none (a Unix socket)

	// From context_extensions, the operator's own channel.
	Policy      Extension
	Environment Extension

	// Headers in the order received, pseudo headers included, names in lower case as Envoy sends them. In the raw shape
	// one entry is one header line; in the map shape equal names are one entry, joined with commas.
	Headers []Header
}

// Extension is an entry of context_extensions. One that is present and empty names something that does not exist.
type Extension struct {
	Present bool
	Value   string
}

// Header is one header line as received.
type Header struct {
	Name  string
	Value string // may hold any byte from 0x20 on, but DEL, and TAB
}

