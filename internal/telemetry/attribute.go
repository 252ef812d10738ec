package telemetry

// known says whether the value of an attribute of this name may be written: the one list of the attributes of the log.
//
// A name belongs here if none of its values is or holds a credential, a whole header, a query or a body. The names in a
// group count, not that of the group.
func known(name string) bool {
	switch name {
	case
		// What happened, and to what.
		"stream", "action", "actor", "step", "state", "result", "detail", "attempt", "count", "duration", "delay", "deadline", "since", "signal", "stack", "err",
		// The request and its decision. path is without query, user_agent as received.
		"request_id", "method", "host", "path", "protocol", "source", "user_agent", "grpc_method",
		"reason", "class", "policy", "status", "sampled",
		// Who: ids and names, never a credential.
		"tenant", "tenant_id", "environment", "key_id", "lookup_id", "end_user", "user", "external_id", "provider", "issuer", "sub", "kid",
		// Keys and tenants in sum.
		"keys", "secrets", "tenants", "added", "skipped", "refused", "revision", "import", "number",
		// What a change did: JSON names of fields; lookup ids of secrets, with the times of their ends.
		"fields", "expires_at", "made", "ended", "ends", "backup", "revoked", "disabled", "suspended",
		// Our own tokens, by ids that open nothing: of a token, of a session; sessions that were ended; until when tokens were issued that are refused.
		"algorithm", "jti", "session", "sessions", "until",
		// The process and what it listens on.
		"version", "go_version", "pid", "uid", "listener", "network", "address", "mode", "inherited", "part", "ready",
		// The configuration: where something stands in it, and what it is about. Never the value of a secret.
		"file", "line", "field", "problem", "hint", "profile", "option", "command":
		return true
	}
	return false
}
