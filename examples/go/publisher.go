// Publishes usage events, one JSON object a line of standard input: see ../README.md.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func setting(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func queueOf(orgID, stream string, partitions uint64) string {
	if partitions == 1 {
		return stream
	}
	hash := sha256.Sum256([]byte(strings.ToLower(orgID)))
	return fmt.Sprintf("%s-%d", stream, uint64(binary.BigEndian.Uint32(hash[:4]))%partitions)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	stream := setting("RABBITMQ_STREAM", "analytics.usage.v1")
	partitions, err := strconv.ParseUint(setting("RABBITMQ_STREAM_PARTITIONS", "1"), 10, 16)
	check(err)
	connection, err := amqp.Dial(setting("RABBITMQ_URL", "amqp://127.0.0.1"))
	check(err)
	defer connection.Close()
	channel, err := connection.Channel()
	check(err)
	check(channel.Confirm(false))
	// The broker returns what it cannot route before it confirms it.
	returned := channel.NotifyReturn(make(chan amqp.Return, 1))
	// Not a deferred confirmation: version 1.5 misses one that comes before it is registered.
	confirmed := channel.NotifyPublish(make(chan amqp.Confirmation, 1))

	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if lines.Text() == "" {
			continue
		}
		var event struct{ EventID, OrgID string }
		check(json.Unmarshal(lines.Bytes(), &event))
		check(channel.PublishWithContext(
			context.Background(), "", queueOf(event.OrgID, stream, partitions), true, false,
			amqp.Publishing{
				Body:         []byte(lines.Text()),
				DeliveryMode: amqp.Persistent,
				MessageId:    event.EventID,
			}))
		select {
		case confirmation := <-confirmed:
			if !confirmation.Ack {
				log.Fatalf("the broker did not confirm event %s", event.EventID)
			}
		case <-time.After(30 * time.Second):
			log.Fatalf("no confirm of event %s within 30 s", event.EventID)
		}
		select {
		case message := <-returned:
			log.Fatalf("no such queue: %s", message.RoutingKey)
		default:
		}
	}
	check(lines.Err())
}
