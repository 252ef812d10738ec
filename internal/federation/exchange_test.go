package federation_test

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/jwks"
)

func TestTheFirstExchangeMakesTheUser(t *testing.T) {
	h := newHouse(t)
	spec := provider("my-app")
	spec.DefaultMembershipTier = new(federation.TierManager)
	put(t, h.Store, acme, spec)
	h.take()
	got, err := h.exchange(t, h.sign(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := federation.Exchanged{ExternalID: "user_123", Created: true, User: federation.User{
		ID: got.User.ID, Owner: acme, Email: "ann@example.com", DisplayName: "Ann", MembershipTier: "MANAGER", IsActive: true, CreatedAt: noon, UpdatedAt: noon,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	u, err := h.User(t.Context(), acme, got.User.ID)
	if diff := cmp.Diff([]federation.Link{{Provider: "my-app", ExternalID: "user_123"}}, u.Links); diff != "" || err != nil {
		t.Error(diff, err)
	}
	events := []federation.Event{{Action: "user.create", Tenant: "acme", Environment: "LIVE", Details: []federation.Detail{
		{Name: "user", Texts: []string{u.ID}}, {Name: "provider", Texts: []string{"my-app"}}, {Name: "external_id", Texts: []string{"user_123"}},
	}}}
	if diff := cmp.Diff(events, h.take()); diff != "" {
		t.Error(diff)
	}
	again, err := h.exchange(t, h.sign(t, map[string]any{"email": "elsewhere@example.com", "name": "Other"}))
	want.Created = false
	if diff := cmp.Diff(want, again); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if events := h.take(); len(events) != 0 {
		t.Errorf("the second one changed %v", events)
	}
}

func TestOneTokenMayBeExchangedAgain(t *testing.T) {
	h := newHouse(t)
	jwt := h.sign(t, nil)
	first, err := h.exchange(t, jwt)
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.exchange(t, jwt)
	if err != nil || again.Created || again.User.ID != first.User.ID {
		t.Errorf("%+v, %v", again, err)
	}
}

// R-PROV-8
func TestFiftyFirstExchangesMakeOneUser(t *testing.T) {
	h := newHouse(t)
	jwt := h.sign(t, nil)
	var made atomic.Int64
	var users sync.Map
	var all sync.WaitGroup
	begin := make(chan struct{})
	for range 50 {
		all.Go(func() {
			<-begin
			got, err := h.Exchange(context.Background(), acme, federation.ExchangeSpec{Provider: "my-app", JWT: jwt}, noon)
			if err != nil {
				t.Error(err)
			}
			if got.Created {
				made.Add(1)
			}
			users.Store(got.User.ID, nil)
		})
	}
	close(begin)
	all.Wait()
	ids := 0
	users.Range(func(any, any) bool { ids++; return true })
	_, total, err := h.Users(t.Context(), acme, federation.UserQuery{Limit: 1})
	if ids != 1 || made.Load() != 1 || total != 1 || err != nil || len(h.take()) != 1 {
		t.Errorf("%d ids, %d made, %d users, %v", ids, made.Load(), total, err)
	}
}

// Where everything is wrong the first step answers; as each is mended, the next one does.
func TestTheFirstStepThatFailsAnswers(t *testing.T) {
	h := newHouse(t)
	h.world.sets = map[string]*jwks.Set{}
	if err := h.DeleteProvider(t.Context(), acme, "my-app", noon); err != nil {
		t.Fatal(err)
	}
	create(t, h.Store, acme, "ann@example.com")
	foreign := authtest.NewProviderKey(t, "k1", "ES256")
	spec := provider("my-app")
	spec.IsActive, spec.AutoCreateUsers = new(false), new(false)
	bad := map[string]any{"iss": "x", "aud": "x", "exp": noon.Add(-time.Hour).Unix(), "sub": nil, "email": nil}
	mended := map[string]any{}
	mend := func(claim string) func() { return func() { delete(bad, claim) } }
	var key *authtest.ProviderKey
	steps := []struct {
		mend func() // what the step before found
		want error
		miss string
	}{
		{func() {}, federation.ErrProviderNotFound, ""},
		{func() { put(t, h.Store, acme, spec) }, federation.ErrProviderInactive, ""},
		{func() { spec.IsActive = new(true); put(t, h.Store, acme, spec) }, federation.ErrInvalidToken, ""}, // not a token
		{func() { key = foreign }, federation.ErrKeysUnavailable, ""},
		{func() { h.world.publish(t, spec.JWKSURI, h.key) }, federation.ErrInvalidToken, ""}, // the signature
		{func() { key = h.key }, federation.ErrIssuer, ""},
		{mend("iss"), federation.ErrAudience, ""},
		{mend("aud"), federation.ErrExpired, ""},
		{mend("exp"), nil, "sub"},
		{mend("sub"), federation.ErrUserNotFound, ""},
		{func() { spec.AutoCreateUsers = new(true); put(t, h.Store, acme, spec) }, nil, "email"},
		{mend("email"), federation.ErrEmailExists, ""},
		{func() { mended["email"] = "ann2@example.com" }, nil, ""},
	}
	for i, step := range steps {
		step.mend()
		jwt := "not a token"
		if key != nil {
			all := maps.Clone(bad)
			maps.Copy(all, mended)
			jwt = key.Sign(t, nil, claims(all))
		}
		_, err := h.exchange(t, jwt)
		missing, _ := errors.AsType[*federation.MissingClaimError](err)
		switch {
		case step.miss != "" && (missing == nil || missing.Claim != step.miss):
			t.Errorf("step %d: got %v, want %q missed", i, err, step.miss)
		case step.want != nil && !errors.Is(err, step.want):
			t.Errorf("step %d: got %v, want %v", i, err, step.want)
		case step.miss == "" && step.want == nil && err != nil:
			t.Errorf("step %d: %v", i, err)
		}
	}
}

func TestARequestIsJudgedBeforeAnythingElse(t *testing.T) {
	h := newHouse(t)
	for name, test := range map[string]struct {
		federation.ExchangeSpec
		fields []string
	}{
		"nothing":              {federation.ExchangeSpec{}, []string{"externalJwt", "provider"}},
		"a token too long":     {federation.ExchangeSpec{Provider: "my-app", JWT: strings.Repeat("x", 16385)}, []string{"externalJwt"}},
		"the longest token":    {federation.ExchangeSpec{Provider: "none", JWT: strings.Repeat("x", 16384)}, nil},
		"a provider too long":  {federation.ExchangeSpec{Provider: strings.Repeat("x", 101), JWT: "x"}, []string{"provider"}},
		"the longest provider": {federation.ExchangeSpec{Provider: strings.Repeat("x", 100), JWT: "x"}, nil},
	} {
		_, err := h.Exchange(t.Context(), acme, test.ExchangeSpec, noon)
		invalid, ok := errors.AsType[*federation.InvalidError](err)
		if test.fields == nil && !errors.Is(err, federation.ErrProviderNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		if test.fields != nil && (!ok || !slices.Equal(slices.Sorted(maps.Keys(invalid.Fields)), test.fields)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsListedIsAccepted(t *testing.T) {
	h := newHouse(t)
	shared := authtest.NewProviderKey(t, "", "RS256").Private // making one takes long
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			key := &authtest.ProviderKey{ID: alg, Algorithm: alg, Private: shared}
			if alg[0] == 'E' {
				key = authtest.NewProviderKey(t, alg, alg)
			}
			h.world.publish(t, provider("").JWKSURI, h.key, key)
			sub := "user of " + alg
			jwt := key.Sign(t, nil, claims(map[string]any{"sub": sub, "email": alg + "@example.com", "aud": []string{"x", "api://my-app"}}))
			if got, err := h.exchange(t, jwt); err != nil || got.ExternalID != sub {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	for name, others := range map[string]map[string]any{
		"expired within the leeway": {"exp": noon.Add(-59 * time.Second).Unix()},
		"issued within the leeway":  {"iat": noon.Add(60 * time.Second).Unix(), "nbf": noon.Add(60 * time.Second).Unix()},
		"the longest subject":       {"sub": strings.Repeat("u", 255), "email": "long@example.com"},
		"no name":                   {"sub": "nobody", "name": nil, "email": "nobody@example.com"},
		"a name that is none":       {"sub": "noname", "name": strings.Repeat("x", 256), "email": "noname@example.com"},
		"no iat":                    {"iat": nil},
	} {
		if _, err := h.exchange(t, h.sign(t, others)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// 16,384 characters, of which a header could not hold a fourth.
	padding := strings.Repeat("x", 12_288-len(claims(map[string]any{"pad": ""}))-200)
	if _, err := h.exchange(t, h.sign(t, map[string]any{"pad": padding})); err != nil {
		t.Errorf("a long one: %v", err)
	}
}

func TestClaimsAreMappedByTheirExactNames(t *testing.T) {
	h := newHouse(t)
	spec := provider("my-app")
	spec.UserIDClaim, spec.EmailClaim, spec.NameClaim = new("https://example.com/id"), new("preferred.mail"), new("Name")
	put(t, h.Store, acme, spec)
	got, err := h.exchange(t, h.sign(t, map[string]any{"https://example.com/id": "id 7", "preferred.mail": "bob@example.com", "Name": "Bob"}))
	if err != nil || got.ExternalID != "id 7" || got.User.Email != "bob@example.com" || got.User.DisplayName != "Bob" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestALinkedUserIsFoundByTheExchange(t *testing.T) {
	h := newHouse(t)
	ann := create(t, h.Store, acme, "ann@example.com")
	if _, err := h.exchange(t, h.sign(t, nil)); !errors.Is(err, federation.ErrEmailExists) { // R-PROV-8
		t.Fatalf("an address was proof enough: %v", err)
	}
	if err := h.Link(t.Context(), acme, federation.LinkSpec{User: ann.ID, Provider: "my-app", ExternalID: "user_123"}, noon); err != nil {
		t.Fatal(err)
	}
	got, err := h.exchange(t, h.sign(t, nil))
	if err != nil || got.User.ID != ann.ID || got.Created {
		t.Errorf("%+v, %v", got, err)
	}
}

// No mutation of a token that is exchanged is exchanged as somebody else's.
func FuzzExchange(f *testing.F) {
	h := newHouse(f)
	jwt := h.sign(f, nil)
	f.Add(jwt)
	f.Add(jwt + "=")
	f.Add(strings.Replace(jwt, ".", "..", 1))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + strings.Repeat(".e30", 2))
	f.Fuzz(func(t *testing.T, text string) {
		got, err := h.Exchange(t.Context(), acme, federation.ExchangeSpec{Provider: "my-app", JWT: text}, noon)
		if err == nil && (text != jwt || got.ExternalID != "user_123") {
			t.Errorf("%q was exchanged: %+v", text, got)
		}
	})
}

// R-EXCH-3: a provider of our own tokens is not stored; one that became it, as the file changed, lets nobody in.
func TestTokensOfOurOwnAreNotExchanged(t *testing.T) {
	h := newHouse(t)
	h.own = provider("").Issuer
	if _, err := h.exchange(t, h.sign(t, nil)); !errors.Is(err, federation.ErrIssuer) {
		t.Errorf("an exchange: %v, want ErrIssuer", err)
	}
	_, err := h.PutProvider(t.Context(), acme, provider("own"), noon)
	if invalid, ok := errors.AsType[*federation.InvalidError](err); !ok || len(invalid.Fields) != 1 || invalid.Fields["issuer"] == "" {
		t.Errorf("PutProvider: %v, want an InvalidError of issuer", err)
	}
	h.own += "/"
	if _, err := h.exchange(t, h.sign(t, nil)); err != nil {
		t.Errorf("an exchange, the issuer another: %v", err)
	}
}
