package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tlsServer starts a server with a certificate that ends in a while, or has ended, for
// an address. If it is trusted, the arguments have --ca.
func tlsServer(left time.Duration, address string, trusted bool) func(*testing.T) (string, []string) {
	return tlsWith(nil, left, address, trusted)
}

// soundCertificate is how long a certificate has left that is worth no warning.
const soundCertificate = 1000 * time.Hour

// tlsConfigured starts a server with a good certificate and another configuration.
func tlsConfigured(change func(*tls.Config)) func(*testing.T) (string, []string) {
	return tlsWith(change, soundCertificate, "127.0.0.1", true)
}

func tlsWith(change func(*tls.Config), left time.Duration, address string, trusted bool) func(*testing.T) (string, []string) {
	return func(t *testing.T) (string, []string) {
		t.Helper()
		cert, ca := certificate(t, left, address)
		server := newServer(t, nil)
		front := httptest.NewUnstartedServer(server)
		front.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		if change != nil {
			change(front.TLS)
		}
		front.Config.ErrorLog = log.New(t.Output(), "", 0) // handshakes fail here on purpose
		front.StartTLS()
		t.Cleanup(func() {
			server.Close() // a long poll may still wait
			front.Close()
		})
		var args []string
		if trusted {
			file := filepath.Join(t.TempDir(), "ca.pem")
			if err := os.WriteFile(file, ca, 0o600); err != nil {
				t.Fatal(err)
			}
			args = []string{"--ca", file}
		}
		return "wss" + strings.TrimPrefix(front.URL, "https") + "/socket", args
	}
}

// secureURL lets a server be reached by wss, plainURL by ws.
func secureURL(start func(*testing.T) (string, []string)) func(*testing.T) (string, []string) {
	return func(t *testing.T) (string, []string) {
		url, args := start(t)
		return "wss" + strings.TrimPrefix(url, "ws"), args
	}
}

func plainURL(start func(*testing.T) (string, []string)) func(*testing.T) (string, []string) {
	return func(t *testing.T) (string, []string) {
		url, args := start(t)
		return "ws" + strings.TrimPrefix(url, "wss"), args
	}
}

// certificate makes a certificate authority, and a certificate of it.
func certificate(t *testing.T, left time.Duration, address string) (tls.Certificate, []byte) {
	t.Helper()
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: now.Add(-10000 * time.Hour), NotAfter: now.Add(10000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test"},
		NotBefore: now.Add(-9000 * time.Hour), NotAfter: now.Add(left),
		IPAddresses: []net.IP{net.ParseIP(address)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, &caKey.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
}
