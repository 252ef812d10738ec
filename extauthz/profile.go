package extauthz

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Profile is how a deployment speaks: where credentials stand, which headers are set, what refusals look like. It is data;
// no code asks for a profile's name. [ProfileByName] returns the ones that exist; the zero Profile is not usable.
type Profile struct {
	name    string
	places  []place  // where a credential may stand, in the order in which missing ones are reported
	managed []output // every request header that may be set
	headers []rename // the response headers, by symbolic name

	environmentIfListed   bool // the environment goes upstream only where the file lists environments
	environmentInResponse bool // every response to a known credential names its environment
	scopeStands           bool // the permissions of a token of ours are its own words, whatever its key may
	identityTokens        bool // a token signed for the upstream may take the credential's place
	prefixMustFit         bool // a key printed with another prefix than its environment's is refused

	contentType string    // of error bodies
	body        string    // of error bodies: <class>, <title>, <status>, <message> and <code> stand for values
	codes       bool      // error bodies hold a code
	wordings    []wording // a class without one answers as a coarser one
	listener    []string  // further names that `errors:` takes: codes of Postern's own endpoints
}

// place is one header that may hold a credential.
type place struct {
	symbol  string // its name in `headers:`; "" cannot be renamed
	header  string
	scheme  string // before the value, without regard to case; "" where the value stands alone
	takes   kinds  // of credentials that it can hold
	doubled bool   // the scheme may stand there twice: a courtesy to clients that put it inside the value
}

// kinds is a set of kinds of credentials.
type kinds uint8

const (
	keys kinds = 1 << iota
	tokens
)

// output is one managed header.
type output struct {
	symbol string // its name in `headers:`
	header string
	source source
}

// source says where the value of a managed header comes from.
type source uint8

const (
	fromNowhere       source = iota // never set, always removed
	fromTenant                      // id of the owner: of the tenant
	fromOrganization                // id of the tenant where that is an organisation
	fromEnvironment                 // of the key
	fromKey                         // its id
	fromPermissions                 // sorted, joined by commas
	fromEndUser                     // verified: the header that sets it is the one that a client asks with
	fromUser                        // that a token names: no key has it
	fromExternal                    // the same at the user's identity provider
	fromOwnerIdentity               // owner and end user in one string
)

// separatesKinds reports whether keys and tokens each have a place of their own, so that both can be demanded.
func (p Profile) separatesKinds() bool {
	var all kinds
	for _, c := range p.places {
		if c.takes == keys|tokens {
			return false
		}
		all |= c.takes
	}
	return all == keys|tokens
}

// rename is a header that has only a symbolic name and a default.
type rename struct{ symbol, header string }

// wording is what a profile says for a class.
type wording struct {
	class      Class
	message    string
	code       string
	challenges []string // values of www-authenticate, in order
}

// ProfileByName returns the profile called name: "default", "mka1" or "mlm".
func ProfileByName(name string) (Profile, bool) {
	switch name {
	case "default":
		return defaultProfile(), true
	case "mka1":
		return mka1Profile(), true
	case "mlm":
		return mlmProfile(), true
	}
	return Profile{}, false
}

// Name returns the profile's name.
func (p Profile) Name() string { return p.name }

// Names are the request headers that a profile is about, in lower case and a fixed order, each in one list only.
type Names struct {
	Outputs     []string // managed and never read: to be stripped before the check
	Inputs      []string // managed and read: must reach the check
	Credentials []string // read, and removed on the way upstream
}

// Names returns the profile's header names: the one source of what is stripped, set, removed and allowed to be mutated.
func (p Profile) Names() Names {
	var n Names
	for _, o := range p.managed {
		if o.source == fromEndUser {
			n.Inputs = append(n.Inputs, o.header)
		} else {
			n.Outputs = append(n.Outputs, o.header)
		}
	}
	for _, c := range p.places {
		n.Credentials = append(n.Credentials, c.header)
	}
	return n
}

// header returns the name of the managed header from a source, or "".
func (p Profile) header(s source) string {
	for _, o := range p.managed {
		if o.source == s {
			return o.header
		}
	}
	return ""
}

// withResourceMetadata returns the profile with the address of the resource's metadata in its Bearer challenges (RFC 9728, section 5.1).
func (p Profile) withResourceMetadata(address string) Profile {
	p.wordings = slices.Clone(p.wordings)
	for i := range p.wordings {
		challenges := slices.Clone(p.wordings[i].challenges)
		for j, c := range challenges {
			if strings.HasPrefix(c, "Bearer ") {
				challenges[j] = c + `, resource_metadata="` + address + `"`
			}
		}
		p.wordings[i].challenges = challenges
	}
	return p
}

// reply is what a refused client gets, whatever the request: constant per class (R-RESP-7).
type reply struct {
	status  int
	headers []nameValue // in order; a name may stand there more than once
	body    string
	encoded encodedReply
}

// replies returns the reply of every class. A class without a text of its own gets the coarser one's.
func (p Profile) replies() [classCount]*reply {
	var all [classCount]*reply
	for _, w := range p.wordings {
		all[w.class] = p.reply(w)
	}
	for c := range classCount {
		if all[c] == nil && c != ClassAllowed {
			all[c] = all[c.coarser()]
		}
	}
	return all
}

func (p Profile) reply(w wording) *reply {
	r := &reply{status: w.class.Status(), headers: []nameValue{{"content-type", p.contentType}}}
	for _, c := range w.challenges {
		r.headers = append(r.headers, nameValue{"www-authenticate", c})
	}
	if w.class == ClassUnavailable {
		r.headers = append(r.headers, nameValue{"retry-after", "1"})
	}
	r.body = strings.NewReplacer(
		"<class>", w.class.String(),
		"<title>", quote(http.StatusText(r.status)),
		"<status>", strconv.Itoa(r.status),
		"<message>", quote(w.message),
		"<code>", quote(w.code),
	).Replace(p.body)
	r.encoded = encodeReply(r)
	return r
}

// quote returns s as a JSON string; < > & stay as they are.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("a string cannot be written as JSON: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}
