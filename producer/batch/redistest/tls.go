package redistest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/darkroom/darkroom/storage/porttest"
)

// TLS is a server that is reached by TLS only, with a certificate of ours, by
// one user only, who may touch asynq's and darkroom's keys and manage nothing.
type TLS struct {
	Server    *Server
	Addr      string // host:port
	CA        string // files in PEM format: the authority's certificate,
	Cert, Key string // and what it signed for both sides
}

// StartTLS starts such a server; see [StartServer].
func StartTLS(t testing.TB, user, password string) *TLS {
	t.Helper()
	dir := t.TempDir()
	s := &TLS{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	s.certify(t)
	port := porttest.Take(t)
	s.Addr = "127.0.0.1:" + port
	s.Server = StartServer(t, "--bind", "127.0.0.1", "--tls-port", port,
		"--tls-ca-cert-file", s.CA, "--tls-cert-file", s.Cert, "--tls-key-file", s.Key)
	client := s.Server.Client()
	defer client.Close()
	ctx := context.Background()
	err := client.Do(ctx, "acl", "setuser", user, "on", ">"+password, "~asynq:*", "~darkroom:*", "&asynq:*", "+@all", "-@admin", "-@dangerous").Err()
	if err == nil {
		err = client.Do(ctx, "acl", "setuser", "default", "off").Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// certify makes an authority and a certificate for 127.0.0.1.
func (s *TLS) certify(t testing.TB) {
	t.Helper()
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	write := func(path, kind string, der []byte, err error) {
		if err == nil {
			err = os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	both := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test"},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	authorityKey, key := newKey(), newKey()
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	write(s.CA, "CERTIFICATE", der, err)
	der, err = x509.CreateCertificate(rand.Reader, both, authority, key.Public(), authorityKey)
	write(s.Cert, "CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(key)
	write(s.Key, "PRIVATE KEY", der, err)
}
