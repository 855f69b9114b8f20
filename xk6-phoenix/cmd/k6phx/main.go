// Command k6phx is k6 with the extension k6/x/phoenix. It takes all commands and flags
// of k6.
//
// One word more may stand in front of them: "k6phx demo run script.js" starts a demo
// server in the same process, and gives the script its URL as __ENV.PHX_URL.
package main

import (
	"fmt"
	"os"

	k6cmd "go.k6.io/k6/v2/cmd"

	_ "github.com/phxgo/xk6-phoenix"
	"github.com/phxgo/xk6-phoenix/internal/demo"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "demo" {
		os.Args = append(os.Args[:1], os.Args[2:]...)
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, "k6phx: no demo server:", err)
			os.Exit(1)
		}
	}
	k6cmd.Execute()
}

// serve starts the demo server, which ends with the process.
func serve() error {
	server, err := demo.Start(nil)
	if err != nil {
		return err
	}
	return os.Setenv("PHX_URL", server.URL())
}
