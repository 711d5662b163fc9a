// check.go asks measured over its Unix socket whether a peer may be trusted; the standard library is enough.
//
//	go run check.go SPECIFIER TYPE '{"0":"aabb.."}'
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", os.Getenv("MEASURED_SOCKET_DIR")+"/api.sock")
		}}}
	body, _ := json.Marshal(map[string]any{"specifier": os.Args[1], "attestation_type": os.Args[2],
		"measurements": json.RawMessage(os.Args[3])})
	answer := struct {
		Verdict string `json:"verdict"`
		Id      string `json:"measurement_id"`
	}{Verdict: "unknown"} // what cannot be found out is unknown, and unknown is refused
	if reply, err := client.Post("http://measured/v1/check", "application/json", strings.NewReader(string(body))); err == nil {
		defer reply.Body.Close()
		if reply.StatusCode != 200 || json.NewDecoder(reply.Body).Decode(&answer) != nil {
			answer.Verdict = "unknown"
		}
	}
	fmt.Println(answer.Verdict, answer.Id)
	if answer.Verdict != "approved" {
		os.Exit(1)
	}
}
