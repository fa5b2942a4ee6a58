import static org.apache.kafka.clients.producer.ProducerConfig.*;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.*;
import java.util.concurrent.Future;
import org.apache.avro.Schema;
import org.apache.avro.generic.*;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;

/** Writes to `traffic` one Avro and one JSON record for each workload named. It stops at the first refusal. */
public class TrafficProducer {
  static final String TEXT = "Acme raises its forecast for the year", ANSWER = "guidance", MODEL = "my-teacher";

  public static void main(String[] args) throws Exception {
    if (args.length < 4) {
      System.err.println("usage: TrafficProducer BOOTSTRAP_SERVERS TOPIC TrafficRecord.avsc WORKLOAD...");
      System.exit(2);
    }
    Schema schema = new Schema.Parser().parse(new File(args[2]));
    // No partitioner is named: the default, murmur2 of the key, is what every client of Millrace uses.
    Map<String, Object> config = Map.of(BOOTSTRAP_SERVERS_CONFIG, args[0], COMPRESSION_TYPE_CONFIG, "lz4");
    try (var producer = new KafkaProducer<>(config, new StringSerializer(), new ByteArraySerializer())) {
      List<Future<RecordMetadata>> sent = new ArrayList<>();
      for (String workload : Arrays.asList(args).subList(3, args.length))
        for (byte[] value : List.of(avro(schema, workload), json(workload)))
          sent.add(producer.send(new ProducerRecord<>(args[1], workload, value)));
      for (Future<RecordMetadata> one : sent) System.out.println(one.get());
    }
  }

  /** Our record in single-object encoding; every field that is not set takes its default. */
  static byte[] avro(Schema schema, String workload) throws Exception {
    var teacher = new GenericData.EnumSymbol(schema.getField("answered_by").schema(), "TEACHER");
    var record = new GenericRecordBuilder(schema).set("id", UUID.randomUUID().toString()).set("workload", workload)
        .set("client", "java").set("event_time", ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now()))
        .set("text", TEXT).set("answer", ANSWER).set("answered_by", teacher).set("model", MODEL).build();
    ByteBuffer bytes = new BinaryMessageEncoder<GenericData.Record>(GenericData.get(), schema).encode(record);
    return Arrays.copyOfRange(bytes.array(), bytes.arrayOffset(), bytes.arrayOffset() + bytes.limit());
  }

  /** The exchange as an OpenAI client saw it, in five fields. */
  static byte[] json(String workload) throws Exception {
    var request = Map.of("model", MODEL, "messages", List.of(Map.of("role", "user", "content", TEXT)));
    var choice = Map.of("index", 0, "finish_reason", "stop", "message", Map.of("role", "assistant", "content", ANSWER));
    var response = Map.of("id", UUID.randomUUID(), "object", "chat.completion", "model", MODEL,
        "choices", List.of(choice));
    return new ObjectMapper().writeValueAsBytes(Map.of("timestamp", Instant.now().getEpochSecond(),
        "workload_id", workload, "client_id", "java", "request", request, "response", response));
  }
}
