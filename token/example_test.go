package token_test

import (
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/phxgo/phoenix/token"
)

const secretKeyBase = "kjoy3o1zeidquwy1398juxzldjlksahdk3"

func Example() {
	signer, err := token.NewSigner(secretKeyBase, nil)
	if err != nil {
		log.Fatal(err)
	}
	// Phoenix.Token.sign(MyAppWeb.Endpoint, "user auth", 99, signed_at: 1700000000)
	t, err := signer.Sign("user auth", 99, token.SignedAt(time.Unix(1700000000, 0)))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(t)

	// Phoenix.Token.verify(MyAppWeb.Endpoint, "user auth", t, max_age: :infinity)
	id, err := token.VerifyFor[int](signer, "user auth", t, token.Infinity)
	fmt.Println(id, err)

	_, err = token.VerifyFor[int](signer, "user auth", t) // for a day
	fmt.Println(errors.Is(err, token.ErrExpired))

	_, err = token.VerifyFor[int](signer, "password reset", t)
	fmt.Println(errors.Is(err, token.ErrInvalid))
	// Output:
	// SFMyNTY.g2gDYWNuBgAAaOXPiwFiAAFRgA.uvJEDHa-IjTolIYW4Crh8PlZJCIGkSHuF4_nhnqPLRk
	// 99 <nil>
	// true
	// true
}

func ExampleSigner_Encrypt() {
	signer, err := token.NewSigner(secretKeyBase, nil)
	if err != nil {
		log.Fatal(err)
	}
	type session struct {
		User int        `term:"user_id,atom"`
		Role token.Atom `term:"role,atom"`
	}
	// Phoenix.Token.encrypt(MyAppWeb.Endpoint, "session", %{user_id: 42, role: :admin})
	t, err := signer.Encrypt("session", session{User: 42, Role: "admin"})
	if err != nil {
		log.Fatal(err)
	}
	got, err := token.DecryptFor[session](signer, "session", t)
	fmt.Println(got, err)
	// Output: {42 admin} <nil>
}

func ExampleSigner_Verify() {
	signer, err := token.NewSigner(secretKeyBase, nil)
	if err != nil {
		log.Fatal(err)
	}
	// Phoenix.Token.sign(MyAppWeb.Endpoint, "invite", {:room, "lobby", %{"uses" => 3}})
	t, err := signer.Sign("invite", token.Tuple{token.Atom("room"), "lobby", map[string]any{"uses": 3}})
	if err != nil {
		log.Fatal(err)
	}
	data, err := signer.Verify("invite", t)
	if err != nil {
		log.Fatal(err)
	}
	if invite, ok := data.(token.Tuple); ok && len(invite) == 3 && invite[0] == token.Atom("room") {
		options, err := token.As[map[string]int](invite[2])
		fmt.Println(invite[1], options["uses"], err)
	}
	// Output: lobby 3 <nil>
}
