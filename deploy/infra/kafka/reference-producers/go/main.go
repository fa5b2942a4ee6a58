// Writes to `traffic` one Avro and one JSON record for each workload named. It stops at the first refusal.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
)

const text, answer, model = "Acme raises its forecast for the year", "guidance", "my-teacher"

type object = map[string]any

func main() {
	if len(os.Args) < 5 {
		log.Fatal("usage: reference-producer BOOTSTRAP_SERVERS TOPIC TrafficRecord.avsc WORKLOAD...")
	}
	schema := avro.MustParse(string(must(os.ReadFile(os.Args[3]))))
	// No partitioner is named: the default, murmur2 of the key, is what every client of Millrace uses.
	client := must(kgo.NewClient(kgo.SeedBrokers(strings.Split(os.Args[1], ",")...),
		kgo.DefaultProduceTopic(os.Args[2]), kgo.RecordDeliveryTimeout(time.Minute)))
	defer client.Close()
	for _, workload := range os.Args[4:] {
		for _, value := range [][]byte{inAvro(schema, workload), inJSON(workload)} {
			sent := must(client.ProduceSync(context.Background(), kgo.KeySliceRecord([]byte(workload), value)).First())
			fmt.Printf("%s-%d@%d\n", sent.Topic, sent.Partition, sent.Offset)
		}
	}
}

// Our record in single-object encoding; every field that is not set takes its default.
func inAvro(schema *avro.Schema, workload string) []byte {
	return must(schema.AppendSingleObject(nil, object{"id": rand.Text(), "workload": workload, "client": "go",
		"event_time": time.Now(), "text": text, "answer": answer, "answered_by": "TEACHER", "model": model}))
}

// The exchange as an OpenAI client saw it, in five fields.
func inJSON(workload string) []byte {
	request := object{"model": model, "messages": []object{{"role": "user", "content": text}}}
	choice := object{"index": 0, "finish_reason": "stop", "message": object{"role": "assistant", "content": answer}}
	response := object{"id": rand.Text(), "object": "chat.completion", "model": model, "choices": []object{choice}}
	return must(json.Marshal(object{"timestamp": time.Now().Unix(), "workload_id": workload, "client_id": "go",
		"request": request, "response": response}))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
