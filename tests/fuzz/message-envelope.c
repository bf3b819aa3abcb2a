/* The envelope's stored form: what loads can be stored, and loads as the same again; and Received can be written of it. */
#include "../../relay/message/envelope.h"

#include "../../relay/message/received.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_received(const struct envelope *envelope)
{
    static struct header_facts none, found;
    struct received_facts facts = { .hostname = "relay.example", .esmtp = true, .tls_version = "TLSv1.3" };
    struct buffer out;
    buffer_init(&out, 4096);
    require(received_write(envelope, &facts, &none, &out) && buffer_add_text(&out, "\r\n"));
    require(header_end(buffer_span(&out), 0) == buffer_size(&out));
    header_examine(buffer_span(&out), &found);
    require(!found.malformed && found.received == 1 && found.has_date && found.has_message_id && !found.from_fields);
    buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct envelope envelope, again;
    struct buffer out, twice;
    if (!envelope_load(span_make((const char *)data, size), &envelope))
        return 0;
    buffer_init(&out, ENVELOPE_STORED_MAX);
    buffer_init(&twice, ENVELOPE_STORED_MAX);
    require(envelope_store(&envelope, &out));
    require(envelope_load(buffer_span(&out), &again) && envelope_store(&again, &twice));
    require(span_equal(buffer_span(&out), buffer_span(&twice)) && again.nrecipients == envelope.nrecipients);
    check_received(&envelope);
    envelope_fini(&again);
    envelope_fini(&envelope);
    buffer_fini(&out);
    buffer_fini(&twice);
    return 0;
}
