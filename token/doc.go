// Package token signs, verifies, encrypts and decrypts the tokens of Elixir's
// Phoenix.Token, compatible to the byte: what one of them has made the other
// accepts.
//
//	signer, err := token.NewSigner(os.Getenv("SECRET_KEY_BASE"), nil)
//	// Phoenix.Token.sign(MyAppWeb.Endpoint, "user socket", 42)
//	t, err := signer.Sign("user socket", 42)
//	// Phoenix.Token.verify(MyAppWeb.Endpoint, "user socket", t, max_age: 3600)
//	id, err := token.VerifyFor[int](signer, "user socket", t, token.MaxAge(time.Hour))
//
// A [Signer] stands for the endpoint: it has its secret_key_base. The salt says
// what a token is for, and one that was signed with another salt is not accepted.
// Anybody can read what a signed token carries, with [Signer.Encrypt] nobody can.
//
// # Errors
//
// [ErrMissing], [ErrInvalid] and [ErrExpired] are the errors of verify/4 and
// decrypt/4. Where Elixir raises, because the data has a form that is not
// expected, there is a [*TermError]. Neither tokens nor secrets nor what tokens
// carry are part of an error, and a Signer does not show its secret when it is
// printed.
//
// # Terms and Go values
//
// What a token carries is an Erlang term. [Signer.Verify] and [Signer.Decrypt]
// return it as one of these types:
//
//	term                           Go                        is signed from, too
//	nil                            nil                       nil pointers
//	true, false                    bool
//	:atom                          Atom
//	42                             int64                     all integers
//	12345678901234567890           *big.Int, beyond int64    uint64, big.Int
//	1.5                            float64                   float32
//	"string", <<1, 2, 3>>          string                    []byte, [N]byte
//	[1, 2, 3]                      []any                     slices, arrays
//	~c"charlist", [99, 104]        []any of int64            Charlist
//	{:ok, 1}                       Tuple
//	%{"id" => 1}, %{id: 1}         Map                       maps, structs
//	[a: 1], a keyword list         []any of Tuple
//
// Elixir's strings are binaries, and so are bytes, so that both are a string. A
// charlist is a list of code points, which nothing tells from a list of numbers.
// Slices and maps that are nil are empty, which is not nil for Elixir.
//
// [VerifyFor], [DecryptFor] and [As] give other types: numbers of any size if the
// number fits, []byte, slices, maps, pointers (nil for nil), structs, and Atom,
// Charlist, Tuple and Map where just these are wanted. They are strict: an atom
// does not become a string, nor a float an integer, nor nil a zero.
//
// A struct is a map whose keys are the names of its exported fields, unless a tag
// says otherwise:
//
//	ID    int    `term:"id"`           // %{"id" => 1}
//	Role  Atom   `term:"role,atom"`    // %{role: :admin}
//	Email string `term:",omitempty"`   // no key if it is ""
//	Notes string `term:"-"`            // no key
//
// A key that the struct has no field for is ignored. A field for which there is no
// key is an error, unless it has omitempty: a user's id must not be 0 because it
// was misspelt. A type that implements [encoding.TextMarshaler], such as
// [time.Time], is signed as its text.
//
// Functions, processes, references, bitstrings and improper lists are not
// supported.
//
// # Bounds
//
// A term has at most 1 MiB, compressed or not, and at most 256 levels. Decoding
// takes at most some twenty times the size of the term, and never panics.
package token
