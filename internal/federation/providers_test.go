package federation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/strictjson"
)

// read reads a provider from the text of a JSON object.
func read(tb testing.TB, text string) (federation.ProviderSpec, error) {
	tb.Helper()
	return federation.ReadProvider(object(tb, text))
}

// object reads a JSON object.
func object(tb testing.TB, text string) strictjson.Object {
	tb.Helper()
	o, err := strictjson.Parse(text, strictjson.Rules{Depth: 2}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

const minimal = `"provider_id":"my-app","display_name":"My app","issuer":"https://auth.example.com","jwks_uri":"https://auth.example.com/jwks.json","allowed_audiences":["a"]`

func TestAProviderHasTheDefaults(t *testing.T) {
	s, _ := open(t, authtest.NewDatabase(t))
	spec, err := read(t, "{"+minimal+"}")
	if err != nil {
		t.Fatal(err)
	}
	got := put(t, s, acme, spec)
	want := federation.Provider{
		ID: "my-app", DisplayName: "My app", Issuer: "https://auth.example.com", JWKSURI: "https://auth.example.com/jwks.json",
		AllowedAudiences: []string{"a"}, AutoCreateUsers: true, DefaultMembershipTier: "ORDINARY",
		UserIDClaim: "sub", EmailClaim: "email", NameClaim: "name", IsActive: true, CreatedAt: noon, UpdatedAt: noon,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	kept, err := s.Provider(t.Context(), acme, "my-app")
	if diff := cmp.Diff(want, kept); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestAnUpdateKeepsWhatItLeavesOut(t *testing.T) {
	s, j := open(t, authtest.NewDatabase(t))
	spec, err := read(t, "{"+minimal+`,"auto_create_users":false,"default_membership_tier":"DIRECTOR","user_id_claim":"oid","email_claim":"upn",`+
		`"name_claim":"given_name","enabled":false}`)
	if err != nil {
		t.Fatal(err)
	}
	before := put(t, s, acme, spec)
	if spec, err = read(t, "{"+strings.Replace(minimal, "My app", "Ours", 1)+"}"); err != nil {
		t.Fatal(err)
	}
	after, err := s.PutProvider(t.Context(), acme, spec, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	want := before
	want.DisplayName, want.UpdatedAt = "Ours", noon.Add(time.Hour)
	if diff := cmp.Diff(want, after); diff != "" {
		t.Error(diff)
	}
	if _, err := s.PutProvider(t.Context(), acme, spec, noon.Add(2*time.Hour)); err != nil { // which changes nothing
		t.Fatal(err)
	}
	events := []federation.Event{
		{Action: "provider.create", Tenant: "acme", Environment: "LIVE", Details: []federation.Detail{{Name: "provider", Texts: []string{"my-app"}}}},
		{Action: "provider.update", Tenant: "acme", Environment: "LIVE", Details: []federation.Detail{
			{Name: "provider", Texts: []string{"my-app"}}, {Name: "fields", Texts: []string{"display_name"}},
		}},
	}
	if diff := cmp.Diff(events, j.take()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsWrongWithAProviderIsSaidByField(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	audiences := func(n int) string { return `["` + strings.Join(strings.Split(long(n), ""), `","`) + `"]` }
	for name, test := range map[string]struct {
		members string // instead of those of the same name in minimal
		field   string // at fault; empty: none
	}{
		"nothing":                        {`"provider_id":"my-app"`, ""},
		"unknown members":                {`"logo":1`, ""},
		"null for an optional one":       {`"is_active":null,"user_id_claim":null`, ""},
		"the longest id":                 {`"provider_id":"` + long(100) + `"`, ""},
		"an id of all kinds":             {`"provider_id":"Az0._:-"`, ""},
		"no id":                          {`"provider_id":""`, "provider_id"},
		"an id too long":                 {`"provider_id":"` + long(101) + `"`, "provider_id"},
		"a slash in the id":              {`"provider_id":"a/b"`, "provider_id"},
		"an umlaut in the id":            {`"provider_id":"ä"`, "provider_id"},
		"an id no URL can name":          {`"provider_id":".."`, "provider_id"},
		"a number for the id":            {`"provider_id":7`, "provider_id"},
		"null for the id":                {`"provider_id":null`, "provider_id"},
		"the longest name":               {`"display_name":"` + strings.Repeat("é", 255) + `"`, ""},
		"no name":                        {`"display_name":""`, "display_name"},
		"a name too long":                {`"display_name":"` + long(256) + `"`, "display_name"},
		"a line break in the name":       {`"display_name":"a\nb"`, "display_name"},
		"the longest issuer":             {`"issuer":"https://a/` + long(2038) + `"`, ""},
		"an issuer too long":             {`"issuer":"https://a/` + long(2039) + `"`, "issuer"},
		"an http issuer":                 {`"issuer":"http://auth.example.com"`, "issuer"},
		"an issuer in capitals":          {`"issuer":"HTTPS://auth.example.com"`, "issuer"},
		"an issuer without host":         {`"issuer":"https://"`, "issuer"},
		"an issuer with a port only":     {`"issuer":"https://:443"`, "issuer"},
		"an issuer with a user":          {`"issuer":"https://u@auth.example.com"`, "issuer"},
		"an issuer with a fragment":      {`"issuer":"https://auth.example.com#"`, "issuer"},
		"an issuer with a space":         {`"issuer":"https://auth.example.com/a b"`, "issuer"},
		"a relative issuer":              {`"issuer":"auth.example.com"`, "issuer"},
		"no issuer":                      {`"issuer":null`, "issuer"},
		"the issuer's other name":        {`"issuer":null,"issuer_url":"https://auth.example.com"`, ""},
		"both names, the same":           {`"issuer_url":"https://auth.example.com"`, ""},
		"both names, not the same":       {`"issuer_url":"https://auth.example.com/"`, "issuer_url"},
		"a number by the other name":     {`"issuer_url":1`, "issuer_url"},
		"an http key set":                {`"jwks_uri":"http://auth.example.com/jwks.json"`, "jwks_uri"},
		"a key set with a query":         {`"jwks_uri":"https://auth.example.com/keys?p=policy"`, ""},
		"no key set":                     {`"jwks_uri":null`, "jwks_uri"},
		"most audiences":                 {`"allowed_audiences":` + audiences(50), ""},
		"too many audiences":             {`"allowed_audiences":` + audiences(51), "allowed_audiences"},
		"an empty list of audiences":     {`"allowed_audiences":[]`, "allowed_audiences"},
		"no audiences":                   {`"allowed_audiences":null`, "allowed_audiences"},
		"an empty audience":              {`"allowed_audiences":["a",""]`, "allowed_audiences"},
		"an audience that is no list":    {`"allowed_audiences":"a"`, "allowed_audiences"},
		"a number among audiences":       {`"allowed_audiences":["a",1]`, "allowed_audiences"},
		"a text for a boolean":           {`"auto_create_users":"true"`, "auto_create_users"},
		"another tier":                   {`"default_membership_tier":"SENIOR"`, ""},
		"an unknown tier":                {`"default_membership_tier":"senior"`, "default_membership_tier"},
		"the longest claim":              {`"user_id_claim":"` + long(100) + `"`, ""},
		"a claim too long":               {`"user_id_claim":"` + long(101) + `"`, "user_id_claim"},
		"an empty claim":                 {`"email_claim":""`, "email_claim"},
		"an empty name claim":            {`"name_claim":""`, "name_claim"},
		"both names of active, the same": {`"is_active":false,"enabled":false`, ""},
		"both names of active":           {`"is_active":true,"enabled":false`, "enabled"},
		"a number for active":            {`"enabled":1`, "enabled"},
	} {
		t.Run(name, func(t *testing.T) {
			var all, other map[string]json.RawMessage
			for text, m := range map[string]*map[string]json.RawMessage{"{" + minimal + "}": &all, "{" + test.members + "}": &other} {
				if err := json.Unmarshal([]byte(text), m); err != nil {
					t.Fatal(err)
				}
			}
			maps.Copy(all, other)
			text, err := json.Marshal(all)
			if err != nil {
				t.Fatal(err)
			}
			_, err = read(t, string(text))
			if test.field == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			invalid, ok := errors.AsType[*federation.InvalidError](err)
			if !ok || !slices.Contains(slices.Collect(maps.Keys(invalid.Fields)), test.field) {
				t.Fatalf("got %v, want a problem of %s", err, test.field)
			}
		})
	}
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	_, err := read(t, `{"auto_create_users":1}`)
	want := "allowed_audiences: must be a list of at least one audience; auto_create_users: must be true or false; display_name: is required; " +
		"issuer: is required; jwks_uri: is required; provider_id: is required"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// R-PROV-1
func TestAProviderIsNobodyElses(t *testing.T) {
	s, _ := open(t, authtest.NewDatabase(t))
	put(t, s, acme, provider("my-app"))
	for _, o := range strangers() {
		if _, err := s.Provider(t.Context(), o, "my-app"); !errors.Is(err, federation.ErrProviderNotFound) {
			t.Errorf("%v sees it: %v", o, err)
		}
		if err := s.DeleteProvider(t.Context(), o, "my-app", noon); !errors.Is(err, federation.ErrProviderNotFound) {
			t.Errorf("%v deletes it: %v", o, err)
		}
		if list, err := s.Providers(t.Context(), o); len(list) != 0 || err != nil {
			t.Errorf("%v lists %v, %v", o, list, err)
		}
		theirs := provider("my-app")
		theirs.Issuer = "https://elsewhere.example.com"
		put(t, s, o, theirs)
	}
	if p, err := s.Provider(t.Context(), acme, "my-app"); err != nil || p.Issuer != "https://auth.example.com" {
		t.Errorf("%v, %v", p, err)
	}
}

func TestADeletedProviderIsGone(t *testing.T) {
	db := authtest.NewDatabase(t)
	s, j := open(t, db)
	put(t, s, acme, provider("a"))
	put(t, s, acme, provider("b"))
	j.take()
	if err := s.DeleteProvider(t.Context(), acme, "a", noon); err != nil {
		t.Fatal(err)
	}
	want := []federation.Event{{Action: "provider.delete", Tenant: "acme", Environment: "LIVE", Details: []federation.Detail{{Name: "provider", Texts: []string{"a"}}}}}
	if diff := cmp.Diff(want, j.take()); diff != "" {
		t.Error(diff)
	}
	for _, s := range []*federation.Store{s, reopened(t, db)} {
		if _, err := s.Provider(t.Context(), acme, "a"); !errors.Is(err, federation.ErrProviderNotFound) {
			t.Error(err)
		}
		if err := s.DeleteProvider(t.Context(), acme, "a", noon); !errors.Is(err, federation.ErrProviderNotFound) {
			t.Error(err)
		}
		list, err := s.Providers(t.Context(), acme)
		if err != nil || len(list) != 1 || list[0].ID != "b" || s.Stats().Providers != 1 {
			t.Errorf("%v, %v, %v", list, err, s.Stats())
		}
	}
}

func TestAProviderMadeAnewHasNothingOfTheFormerOne(t *testing.T) {
	s, _ := open(t, authtest.NewDatabase(t))
	spec := provider("a")
	spec.AutoCreateUsers, spec.UserIDClaim = new(false), new("oid")
	put(t, s, acme, spec)
	if err := s.DeleteProvider(t.Context(), acme, "a", noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	anew := put(t, s, acme, provider("a")) // by a clock that went back
	if !anew.AutoCreateUsers || anew.UserIDClaim != "sub" || !anew.CreatedAt.After(noon.Add(time.Minute)) {
		t.Errorf("%+v", anew)
	}
}

// R-PROV-6
func TestATenantHasABoundedNumberOfProviders(t *testing.T) {
	s, _ := open(t, authtest.NewDatabase(t))
	for n := range 100 {
		put(t, s, acme, provider(fmt.Sprint("p", n)))
	}
	if _, err := s.PutProvider(t.Context(), acme, provider("one-more"), noon); !errors.Is(err, federation.ErrTooManyProviders) {
		t.Errorf("the 101st: %v", err)
	}
	put(t, s, acme, provider("p7"))        // there already
	put(t, s, sandbox, provider("p1"))     // elsewhere
	put(t, s, globex, provider("another")) // likewise
	if err := s.DeleteProvider(t.Context(), acme, "p3", noon); err != nil {
		t.Fatal(err)
	}
	put(t, s, acme, provider("one-more"))
}
