package extauthz

// maxEndUser is the most characters that an end user may have.
const maxEndUser = 150

// delegate decides for whom the request acts (R-KEY-8): for the end user that the header names, if the key may act for end
// users and the policy takes that, or for the tenant itself, "".
//
// A malformed end user is refused before one that is not allowed. sent is the header's line; a profile that does not read
// one never has any.
func (p *policy) delegate(key *preparedKey, sent onlyOne) (endUser string, refused Reason) {
	switch {
	case sent.count == 0:
		if p.endUser == EndUserRequired {
			return "", ReasonEndUserRequired
		}
		return "", ReasonUndecided
	case sent.count > 1 || !isEndUser(sent.value):
		return "", ReasonEndUserInvalid
	case !key.delegates:
		return "", ReasonEndUserRefused
	case p.endUser == EndUserForbidden:
		return "", ReasonEndUserForbidden
	}
	return sent.value, ReasonUndecided
}

// isEndUser reports whether s may name an end user: printable ASCII without a space at either end, not the wildcard, and
// nothing that in one of the two shapes of headers stands for a second line (`,`) or a byte that was replaced (`!`).
func isEndUser(s string) bool {
	if len(s) > maxEndUser || s == "*" || !printable(s) {
		return false
	}
	for i := range len(s) {
		if s[i] == ',' || s[i] == '!' {
			return false
		}
	}
	return true
}
