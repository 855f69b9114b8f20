// Package token signs, verifies, encrypts and decrypts the tokens of Elixir's
// Phoenix.Token. The two are compatible to the byte: each accepts the tokens of
// the other.
//
//	signer, err := token.NewSigner(os.Getenv("SECRET_KEY_BASE"), nil)
//	// Phoenix.Token.sign(MyAppWeb.Endpoint, "user socket", 42)
//	t, err := signer.Sign("user socket", 42)
//	// Phoenix.Token.verify(MyAppWeb.Endpoint, "user socket", t, max_age: 3600)
//	id, err := token.VerifyFor[int](signer, "user socket", t, token.MaxAge(time.Hour))
//
// A [Signer] takes the place of the endpoint: it has its secret_key_base. The
// salt says what a token is for. A token that was signed with another salt is not
// accepted. Anybody can read what a signed token carries. Nobody can read what an
// encrypted one carries ([Signer.Encrypt]).
//
// # Errors
//
// [ErrMissing], [ErrInvalid] and [ErrExpired] are the errors of verify/4 and
// decrypt/4. Where Elixir raises, because the data has an unexpected form, there
// is a [*TermError]. Errors never contain tokens, secrets, or what tokens carry,
// and a Signer does not print its secret.
//
// # Terms and Go values
//
// A token carries an Erlang term. [Signer.Verify] and [Signer.Decrypt] return it
// as one of these types:
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
// Strings in Elixir are binaries, and so are bytes: both become a string. A
// charlist is a list of code points, which looks like a list of numbers. Nil
// slices and nil maps are signed as empty ones, not as nil.
//
// [VerifyFor], [DecryptFor] and [As] return other types: numbers of any size if
// the number fits, []byte, slices, maps, pointers (nil for nil), structs, and
// exactly Atom, Charlist, Tuple or Map. They are strict: an atom does not become
// a string, a float does not become an integer, and nil does not become zero.
//
// A struct is a map. Its keys are the names of the exported fields, unless a tag
// says otherwise:
//
//	ID    int    `term:"id"`           // %{"id" => 1}
//	Role  Atom   `term:"role,atom"`    // %{role: :admin}
//	Email string `term:",omitempty"`   // no key if it is ""
//	Notes string `term:"-"`            // no key
//
// Keys without a field are ignored. A field without a key is an error, unless it
// has omitempty: a misspelt key must not make a user's id 0. A type that
// implements [encoding.TextMarshaler], such as [time.Time], is signed as its
// text.
//
// Functions, processes, references, bitstrings and improper lists are not
// supported.
//
// # Bounds
//
// A term has at most 1 MiB, compressed or not, and at most 256 levels. Decoding
// takes at most some twenty times the size of the term, and never panics.
package token
