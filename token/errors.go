package token

import "errors"

// The reasons for which a token is not accepted. Match them with [errors.Is].
var (
	// ErrMissing says that the token is "".
	ErrMissing = errors.New("token: missing")
	// ErrInvalid says that the text is not a token, that it was changed, or that
	// it was made with another secret, salt or key derivation.
	ErrInvalid = errors.New("token: invalid")
	// ErrExpired says that the token is genuine but too old.
	ErrExpired = errors.New("token: expired")
)

// A TermError says that data cannot be put into a token, that what a genuine
// token carries cannot be read, or that it does not have the requested type.
type TermError struct {
	Path   string // where in the data, such as ".roles[2]"; "" is the data itself
	Reason string
	// Err is the cause, if there is one, such as the error of a MarshalText
	// method. It is not part of the message, because it may quote the data.
	Err error
}

func (e *TermError) Error() string { return "token: data" + e.Path + ": " + e.Reason }

// Unwrap returns the cause.
func (e *TermError) Unwrap() error { return e.Err }

// within returns err as one of a part of what it is an error of. It is for
// errors on their way up, which nobody else has seen.
func within(path string, err error) error {
	var t *TermError
	if errors.As(err, &t) {
		t.Path = path + t.Path
	}
	return err
}
