package zkconn

// noSession says that a call was given up while there was no session, and why there was none.
type noSession struct {
	cause   error  // why it was given up
	why     string // Failures
	refusal error  // of the credentials, or nil
}

func (e *noSession) Error() string { return e.cause.Error() + " (no session: " + e.why + ")" }

func (e *noSession) Unwrap() []error {
	if e.refusal == nil {
		return []error{e.cause}
	}
	return []error{e.cause, e.refusal}
}

// NoSession returns cause, the reason why a caller gives up. If there is no session, the error also says
// why each server could not be used, and errors.Is finds zk.ErrAuthFailed in it if the credentials were
// refused.
func (c *Conn) NoSession(cause error) error {
	why := c.Failures()
	if c.isUp.Load() || why == "" {
		return cause
	}
	return &noSession{cause, why, c.hosts.refusal()}
}
