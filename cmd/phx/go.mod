module github.com/phxgo/phoenix/cmd/phx

go 1.25.0

require (
	github.com/phxgo/phoenix v0.0.0-00010101000000-000000000000
	github.com/phxgo/phoenix/load v0.0.0-00010101000000-000000000000
	github.com/spf13/cobra v1.10.2
	github.com/spf13/pflag v1.0.9
	golang.org/x/sys v0.47.0
	golang.org/x/term v0.45.0
)

require (
	github.com/HdrHistogram/hdrhistogram-go v1.4.0 // indirect
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/coder/websocket v1.8.15 // indirect
	github.com/goccy/go-yaml v1.19.2 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	golang.org/x/crypto v0.55.0 // indirect
)

replace github.com/phxgo/phoenix => ../..

replace github.com/phxgo/phoenix/load => ../../load
