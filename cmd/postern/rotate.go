package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/postern-auth/postern/internal/admin"
)

type keysRotateCmd struct {
	keyRef
	Overlap *time.Duration `placeholder:"72h" help:"Time that the old secret works beside the new one; 0 ends all others now. Default: 72h."`
	EndOld  bool           `help:"Make no new secret: end all but the newest now."`
}

// Help is the detail of the command's help.
func (*keysRotateCmd) Help() string {
	return `Makes a new secret under the same key. The one before it works until the overlap has passed; older ones end now, so that never more than two work. What will end, and how much it is used, is on standard error before it happens. When the command returns, no check that begins accepts what has ended. "postern keys get" shows who still uses the old secret.

Of a secret that leaked, end the rest at once: --overlap 0, or --end-old once the new one is in use.

Example: a new secret, and the end of the old one when nobody uses it any more.

    postern keys rotate 9sD3kQ0ZpT1x --overlap 72h -o table > key
    postern keys get 9sD3kQ0ZpT1x
    postern keys rotate 9sD3kQ0ZpT1x --end-old`
}

// Run rotates a key.
func (k *keysRotateCmd) Run(ctx context.Context, out *output) error {
	overlap := admin.DefaultOverlap
	switch {
	case k.Overlap != nil && k.EndOld:
		return misuse(fmt.Errorf("--overlap and --end-old exclude each other: --end-old makes no new secret"), "postern keys rotate --help")
	case k.Overlap != nil && *k.Overlap < 0:
		return misuse(fmt.Errorf("--overlap %v is less than 0", *k.Overlap), "postern keys rotate --help")
	case k.Overlap != nil:
		overlap = *k.Overlap
	}
	return k.withData(ctx, out, writing, func(c *admin.Client) error {
		if k.EndOld {
			return k.endOld(ctx, out, c)
		}
		return k.rotate(ctx, out, c, overlap)
	})
}

func (k *keysRotateCmd) rotate(ctx context.Context, out *output, c *admin.Client, overlap time.Duration) error {
	plan, err := c.PlanRotation(ctx, k.ID, overlap)
	if err != nil {
		return err
	}
	out.plan(plan)
	rotated, err := c.RotateKey(ctx, k.ID, admin.RotateRequest{Overlap: new(overlap.String()), IfUpdatedAt: &plan.UpdatedAt})
	if err != nil {
		return err
	}
	if rotated.State != "active" {
		out.note("key %s is %s: the new secret works when the key does", rotated.ID, rotated.State)
	}
	if out.format() == formatTable {
		out.note("new secret of key %s of tenant %s in %s; it is shown only now:", rotated.ID, rotated.Tenant, rotated.Environment)
	}
	if err := out.data(rotated, func(w io.Writer) { row(w, rotated.Printed) }); err != nil {
		return hint(err, "the new secret is made and its text is lost; another rotation ends the old one at once, so make a key of its own if that is in use: postern keys create")
	}
	return nil
}

func (k *keysRotateCmd) endOld(ctx context.Context, out *output, c *admin.Client) error {
	plan, err := c.PlanEndOld(ctx, k.ID)
	if err != nil {
		return err
	}
	out.plan(plan)
	key, err := c.EndOldSecrets(ctx, k.ID, admin.EndOldRequest{IfUpdatedAt: &plan.UpdatedAt})
	if err != nil {
		return err
	}
	return out.data(key, func(w io.Writer) { keyRows(w, key) })
}

// plan says what is about to end.
func (o *output) plan(p admin.RotationPlan) {
	if len(p.Ended)+len(p.Ends) == 0 {
		o.note("no secret ends")
	}
	for i := range p.Ended {
		o.note("ends now: secret %s", use(&p.Ended[i]))
	}
	for i := range p.Ends {
		o.note("ends %s: secret %s", when(p.Ends[i].EndsAt), use(&p.Ends[i]))
	}
}

// use is a secret and how it is used.
func use(s *admin.Secret) string {
	start := text(s.Start)
	if start == "" {
		start = "of unknown start"
	}
	last := "never used"
	if s.LastUsedAt != nil {
		last = "last used " + when(s.LastUsedAt)
	}
	return fmt.Sprintf("%s, made %s, %d requests, %s", cell(start), when(&s.CreatedAt), s.Requests, last)
}
