/* What the client says and concludes, against a scripted server: one row a conversation. */
#include "world.h"

#define LINES(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define GREET      "accept", "> 220 mx.test ESMTP", "< EHLO relay.test"
#define PLAIN      GREET, "> 250 mx.test"
#define PIPELINING GREET, "> 250-mx.test", "> 250 PIPELINING"
#define LIMITS     GREET, "> 250-mx.test", "> 250-PIPELINING", "> 250 LIMITS "
#define FROM       "< MAIL FROM:<alice@example.net>"
#define BOB        "< RCPT TO:<bob@mx.test>"
#define CAROL      "< RCPT TO:<carol@mx.test>"
#define DAVE       "< RCPT TO:<dave@mx.test>"
#define OK         "> 250 ok"
#define GO         "< DATA", "> 354 go"

struct dialogue {
    const char *name;
    const char *const *script;
    const char *events; /* what the queue is told */
    unsigned recipients;
    unsigned messages;
    const char *says; /* stands in the replies told */
    unsigned flags;   /* of the envelope */
    const char *sender;
    const char *content;
    size_t content_repeat;
    size_t damage;
    int64_t patience_ms; /* timeouts; 0: those of the world */
    bool route;          /* not MX: over the route up.test */
    const char *second;  /* the second recipient's address */
};

/* A row says only what is special about it. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* clang-format off: it would make columns of the scripts */
static const struct dialogue dialogues[] = {
    { "one message, nothing offered",
      LINES(PLAIN, "< MAIL FROM:<alice@example.net>", "> 250 2.1.0 ok", BOB, "> 250 2.1.5 ok", GO, "content", "silent",
            "> 250 2.6.0 queued as X", "< QUIT", "> 221 bye"),
      "next;0 done 2.6.0 remote;next;ended;", 1, 1, "250 2.6.0 queued as X" },
    { "pipelined: all commands come before any reply, the content never before 354",
      LINES(PIPELINING, FROM, BOB, CAROL, "< DATA", "silent", OK, OK, OK, "> 354 go", "content", "silent", "> 250 2.0.0 ok",
            "< QUIT"),
      "next;0 done 2.0.0 remote;1 done 2.0.0 remote;next;ended;", 2, 1, "" },
    { "two messages over one connection, no RSET between them",
      LINES(PIPELINING, FROM, BOB, "< DATA", OK, OK, "> 354 go", "content", "> 250 ok", FROM, BOB, "< DATA", OK, OK, "> 354 go",
            "content", "> 250 ok", "< QUIT"),
      "next;0 done 2.0.0 remote;next;0 done 2.0.0 remote;next;ended;", 1, 2, "" },
    { "each recipient its own fate",
      LINES(PIPELINING, FROM, BOB, CAROL, DAVE, "< DATA", OK, OK, "> 450 4.2.1 busy", "> 550 5.1.1 unknown", "> 354 go",
            "content", "> 250 ok", "< QUIT"),
      "next;1 temporary 4.2.1 remote;2 permanent 5.1.1 remote;0 done 2.0.0 remote;next;ended;", 3, 1, "550 5.1.1 unknown" },
    { "the dot refused for a while",
      LINES(PIPELINING, FROM, BOB, CAROL, "< DATA", OK, OK, "> 550 no", "> 354 go", "content", "> 451 4.3.0 later", "< QUIT"),
      "next;1 permanent 5.0.0 remote;0 temporary 4.3.0 remote;next;ended;", 2, 1, "451 4.3.0 later" },
    { "the dot refused for good", LINES(PLAIN, FROM, OK, BOB, OK, GO, "content", "> 554 5.7.1 spam", "< QUIT"),
      "next;0 permanent 5.7.1 remote;next;ended;", 1, 1, "554 5.7.1 spam" },
    { "all recipients refused, and 354 all the same: a lone dot",
      LINES(PIPELINING, FROM, BOB, CAROL, "< DATA", OK, "> 550 no", "> 550 no", "> 354 go", "< .", "> 250 ok", "< QUIT"),
      "next;0 permanent 5.0.0 remote;1 permanent 5.0.0 remote;next;ended;", 2, 1, "" },
    { "all recipients refused, DATA too: RSET, then the next message",
      LINES(PIPELINING, FROM, BOB, "< DATA", OK, "> 550 5.1.1 no", "> 503 no recipients", "< RSET", OK, FROM, BOB, "< DATA", OK,
            OK, "> 354 go", "content", OK, "< QUIT"),
      "next;0 permanent 5.1.1 remote;next;0 done 2.0.0 remote;next;ended;", 1, 2, "" },
    { "all recipients refused without pipelining: no DATA", LINES(PLAIN, FROM, OK, BOB, "> 550 no", "< RSET", OK, "< QUIT"),
      "next;0 permanent 5.0.0 remote;next;ended;", 1, 1, "" },
    { "MAIL refused, pipelined: what follows is heard out",
      LINES(PIPELINING, FROM, BOB, CAROL, "< DATA", "> 451 4.7.1 greylisted", "> 503 what", "> 250 hm", "> 503 what", "< RSET",
            OK, "< QUIT"),
      "next;0 temporary 4.7.1 remote;1 temporary 4.7.1 remote;next;ended;", 2, 1, "greylisted" },
    { "MAIL refused, not pipelined", LINES(PLAIN, FROM, "> 550 5.7.1 go away", "< RSET", OK, "< QUIT"),
      "next;0 permanent 5.7.1 remote;next;ended;", 1, 1, "" },
    { "DATA refused", LINES(PLAIN, FROM, OK, BOB, OK, "< DATA", "> 451 4.3.0 no", "< RSET", OK, "< QUIT"),
      "next;0 temporary 4.3.0 remote;next;ended;", 1, 1, "" },
    { "250 to DATA", LINES(PLAIN, FROM, OK, BOB, OK, "< DATA", "> 250 ok", "gone"), "next;0 temporary 4.5.0;lost 4.5.0;", 1, 1,
      "makes no sense" },
    { "354 to RCPT", LINES(PLAIN, FROM, OK, BOB, "> 354 go", "gone"), "next;0 temporary 4.5.0;lost 4.5.0;", 1, 1, "" },
    { "421 to MAIL", LINES(PLAIN, FROM, "> 421 4.3.2 down", "gone"), "next;0 temporary 4.3.2 remote;lost 4.3.2;", 1, 1,
      "421 4.3.2 down" },
    { "421 after RCPT 2 of 3", LINES(PLAIN, FROM, OK, BOB, OK, CAROL, "> 421 4.7.0 enough", "gone"),
      "next;0 temporary 4.7.0 remote;1 temporary 4.7.0 remote;2 temporary 4.7.0 remote;lost 4.7.0;", 3, 1, "" },
    { "421 to the dot", LINES(PLAIN, FROM, OK, BOB, OK, GO, "content", "> 421 4.3.2 down", "gone"),
      "next;0 temporary 4.3.2 remote;lost 4.3.2;", 1, 1, "" },
    { "421 while nothing is asked", LINES(PLAIN, FROM, OK, BOB, OK, GO, "content", "raw 250 ok\r\n421 4.4.2 idle\r\n", "close"),
      "next;0 done 2.0.0 remote;ended;", 1, 1, "" },
    { "dropped after the dot", LINES(PLAIN, FROM, OK, BOB, OK, GO, "content", "close"), "next;0 temporary 4.4.2;lost 4.4.2;", 1,
      1, "unknown" },
    { "250, then RST", LINES(PLAIN, FROM, OK, BOB, OK, GO, "content", OK, "< QUIT", "reset"),
      "next;0 done 2.0.0 remote;next;ended;", 1, 1, "" },
    { "dropped at RCPT", LINES(PLAIN, FROM, OK, BOB, "close"), "next;0 temporary 4.4.2;lost 4.4.2;", 1, 1, "RCPT" },
    { "hangs at MAIL", LINES(PLAIN, FROM, "gone"), "next;0 temporary 4.4.2;lost 4.4.2;", 1, 1, "timed out", .patience_ms = 150 },
    { "hangs after the dot", LINES(PLAIN, FROM, OK, BOB, OK, GO, "content", "gone"), "next;0 temporary 4.4.2;lost 4.4.2;", 1, 1,
      "unknown", .patience_ms = 150 },
    { "takes no content", LINES(PLAIN, FROM, OK, BOB, OK, GO, "stall"), "next;0 temporary 4.4.2;lost 4.4.2;", 1, 1,
      "sending the message", .patience_ms = 200, .content_repeat = 200000 },
    { "an endless reply, byte by byte", LINES(PLAIN, FROM, "drip 250-x\r\n"), "next;0 temporary 4.4.2;lost 4.4.2;", 1, 1,
      "timed out", .patience_ms = 200 },
    { "a line without end",
      LINES(PLAIN, FROM, "raw 250 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "drip bbbbbbbbbb"),
      "next;0 temporary 4.4.2;lost 4.4.2;", 1, 1, "", .patience_ms = 200 },
    { "codes that differ", LINES(PLAIN, FROM, "raw 250-a\r\n550 b\r\n", "gone"), "next;0 temporary 4.5.0;lost 4.5.0;", 1, 1, "" },
    { "code 999", LINES(PLAIN, FROM, "> 999 x", "gone"), "next;0 temporary 4.5.0;lost 4.5.0;", 1, 1, "not expected" },
    { "code 25", LINES(PLAIN, FROM, "> 25 x", "gone"), "next;0 temporary 4.5.0;lost 4.5.0;", 1, 1, "" },
    { "2xx", LINES(PLAIN, FROM, "> 2xx", "gone"), "next;0 temporary 4.5.0;lost 4.5.0;", 1, 1, "" },
    { "bare LF", LINES(PLAIN, FROM, "raw 250 ok\n", "gone"), "next;0 temporary 4.5.0;lost 4.5.0;", 1, 1, "" },
    { "a server that answers before it is asked is not believed",
      LINES(PLAIN, FROM, "raw 250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n", "gone"), "next;0 temporary 4.5.0;lost 4.5.0;", 1, 1,
      "not expected" },
    { "nor one that takes the message before it is sent",
      LINES(PIPELINING, FROM, BOB, "< DATA", "raw 250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n", "gone"),
      "next;0 temporary 4.5.0;lost 4.5.0;", 1, 1, "not expected" },
    { "the code beats the enhanced code", LINES(PLAIN, FROM, OK, BOB, "> 450 5.1.1 hm", "< RSET", OK, "< QUIT"),
      "next;0 temporary 4.0.0 remote;next;ended;", 1, 1, "" },
    { "escaped", LINES(PLAIN, FROM, OK, BOB, "raw 550 5.1.1 a\033[31mb\tc\r\n", "< RSET", OK, "< QUIT"),
      "next;0 permanent 5.1.1 remote;next;ended;", 1, 1, "a\\x1b[31mb" },
    { "552 to a later recipient without an enhanced code waits (RFC 5321 4.5.3.1.10)",
      LINES(PLAIN, FROM, OK, BOB, OK, CAROL, "> 552 too many", GO, "content", OK, "< QUIT"),
      "next;1 temporary 4.0.0 remote;0 done 2.0.0 remote;next;ended;", 2, 1, "" },
    { "SIZE named in MAIL",
      LINES(GREET, "> 250-mx.test", "> 250 SIZE 1000", "< MAIL FROM:<alice@example.net> SIZE=61", OK, BOB, OK, GO, "content", OK,
            "< QUIT"),
      "next;0 done 2.0.0 remote;next;ended;", 1, 1, "" },
    { "SIZE 0 is no limit",
      LINES(GREET, "> 250-mx.test", "> 250 SIZE 0", "< MAIL FROM:<alice@example.net> SIZE=61", OK, BOB, OK, GO, "content", OK,
            "< QUIT"),
      "next;0 done 2.0.0 remote;next;ended;", 1, 1, "" },
    { "larger than SIZE", LINES(GREET, "> 250-mx.test", "> 250 SIZE 10", "< QUIT"), "next;0 permanent 5.3.4;next;ended;", 1, 1,
      "at most 10" },
    { "8-bit, and 8BITMIME",
      LINES(GREET, "> 250-mx.test", "> 250 8BITMIME", "< MAIL FROM:<alice@example.net> BODY=8BITMIME", OK, BOB, OK, GO, "content",
            OK, "< QUIT"),
      "next;0 done 2.0.0 remote;next;ended;", 1, 1, "", ENVELOPE_8BIT, .content = "Subject: x\r\n\r\n\xc3\xa4\r\n" },
    { "8-bit, no 8BITMIME", LINES(PLAIN, "< QUIT"), "next;0 permanent 5.6.3;next;ended;", 1, 1, "8BITMIME", ENVELOPE_8BIT,
      .content = "Subject: x\r\n\r\n\xc3\xa4\r\n" },
    { "declared 8-bit, but is not, no 8BITMIME", LINES(PLAIN, FROM, OK, BOB, OK, GO, "content", OK, "< QUIT"),
      "next;0 done 2.0.0 remote;next;ended;", 1, 1, "", ENVELOPE_8BIT },
    { "large and 8-bit at its end, no 8BITMIME", LINES(PLAIN, "< QUIT"), "next;0 permanent 5.6.3;next;ended;", 1, 1, "8BITMIME",
      ENVELOPE_8BIT, .content = "text \xc3\xa4\r\n", .content_repeat = 40000 },
    { "SMTPUTF8 needed and offered",
      LINES(GREET, "> 250-mx.test", "> 250-8BITMIME", "> 250 SMTPUTF8", "< MAIL FROM:<\xc3\xa4@example.net> SMTPUTF8", OK, BOB,
            OK, GO, "content", OK, "< QUIT"),
      "next;0 done 2.0.0 remote;next;ended;", 1, 1, "", ENVELOPE_SMTPUTF8, .sender = "\xc3\xa4@example.net" },
    { "SMTPUTF8 needed, not offered", LINES(PLAIN, "< QUIT"), "next;0 permanent 5.6.7;next;ended;", 1, 1, "SMTPUTF8",
      ENVELOPE_SMTPUTF8, .sender = "\xc3\xa4@example.net" },
    { "SMTPUTF8 declared, but nothing needs it", LINES(PLAIN, FROM, OK, BOB, OK, GO, "content", OK, "< QUIT"),
      "next;0 done 2.0.0 remote;next;ended;", 1, 1, "", ENVELOPE_SMTPUTF8 },
    { "the null sender", LINES(PLAIN, "< MAIL FROM:<>", OK, BOB, OK, GO, "content", OK, "< QUIT"),
      "next;0 done 2.0.0 remote;next;ended;", 1, 1, "", .sender = "" },
    { "a quoted local part goes out as it is stored",
      LINES(PLAIN, "< MAIL FROM:<\"x@evil.example y\"@good.example>", OK, BOB, OK, GO, "content", OK, "< QUIT"),
      "next;0 done 2.0.0 remote;next;ended;", 1, 1, "", .sender = "\"x@evil.example y\"@good.example" },
    { "a large message", LINES(PIPELINING, FROM, BOB, "< DATA", OK, OK, "> 354 go", "content", OK, "< QUIT"),
      "next;0 done 2.0.0 remote;next;ended;", 1, 1, "", .content_repeat = 60000 },
    { "a large message and a refusal before its end", LINES(PLAIN, FROM, OK, BOB, OK, GO, "> 552 5.3.4 too big", "stall"),
      "next;0 permanent 5.3.4 remote;lost 4.3.4;", 1, 1, "too big", .content_repeat = 200000 },
    { "damaged content: nothing is sent", LINES(PLAIN, "< QUIT"), "next;0 damaged 4.3.0;1 damaged 4.3.0;next;ended;", 2, 1,
      "checksum", .damage = RECORD_HEADER_SIZE + 5 },
    { "damaged content of a large message", LINES(PLAIN, "< QUIT"), "next;0 damaged 4.3.0;next;ended;", 1, 1, "checksum",
      .damage = RECORD_HEADER_SIZE + 500000, .content_repeat = 60000 },
    { "damaged header", LINES(PLAIN, "< QUIT"), "next;0 damaged 4.3.0;next;ended;", 1, 1, "header", .damage = 9 },
    { "421 as greeting", LINES("accept", "> 421 4.3.2 down", "gone"), "unreachable 4.3.2;", 1, 1, "421 4.3.2 down" },
    { "a 554 greeting only defers", LINES("accept", "> 554 5.7.1 no", "gone"), "unreachable 4.7.1;", 1, 1, "554 5.7.1 no" },
    { "no greeting", LINES("accept", "gone"), "unreachable 4.4.2;", 1, 1, "greeting", .patience_ms = 150 },
    { "garbage as greeting", LINES("accept", "> SSH-2.0-OpenSSH", "gone"), "unreachable 4.5.0;", 1, 1, "not expected" },
    { "closed without greeting", LINES("accept", "close"), "unreachable 4.4.2;", 1, 1, "" },
    { "EHLO refused for now", LINES(GREET, "> 450 4.3.0 later", "gone"), "unreachable 4.3.0;", 1, 1, "" },
    { "EHLO refused: HELO on a new connection",
      LINES(GREET, "> 502 what", "accept", "> 220 x", "< HELO relay.test", "> 250 mx.test", FROM, OK, BOB, OK, GO, "content", OK,
            "< QUIT"),
      "next;0 done 2.0.0 remote;next;ended;", 1, 1, "" },
    { "EHLO drops the connection",
      LINES(GREET, "close", "accept", "> 220 x", "< HELO relay.test", "> 250 mx.test", FROM, OK, BOB, OK, GO, "content", OK,
            "< QUIT"),
      "next;0 done 2.0.0 remote;next;ended;", 1, 1, "" },
    { "HELO refused as well", LINES(GREET, "> 502 what", "accept", "> 220 x", "< HELO relay.test", "> 502 what", "gone"),
      "unreachable 4.0.0;", 1, 1, "502 what" },
    { "hangs at EHLO: no HELO for that", LINES(GREET, "gone"), "unreachable 4.4.2;", 1, 1, "EHLO", .patience_ms = 150 },
    { "a smart host that wants a login defers", LINES(PLAIN, FROM, "> 530 5.7.0 log in first", "< RSET", OK, "< QUIT"),
      "next;0 temporary 4.7.0 remote;next;ended;", 1, 1, "log in first", .route = true },
    { "RCPTMAX: the others in a second transaction, with the whole message once more",
      LINES(LIMITS "RCPTMAX=2", FROM, BOB, CAROL, "< DATA", OK, OK, OK, "> 354 go", "content", "> 250 2.0.0 first", FROM, DAVE,
            "< DATA", OK, OK, "> 354 go", "content", "> 250 2.0.0 second", "< QUIT"),
      "next;0 done 2.0.0 remote;1 done 2.0.0 remote;2 done 2.0.0 remote;next;ended;", 3, 1, "250 2.0.0 second" },
    { "RCPTMAX: what is said of some says nothing of the others",
      LINES(LIMITS "RCPTMAX=1", FROM, BOB, "< DATA", OK, "> 550 5.1.1 no", "> 354 go", "< .", OK, FROM, CAROL, "< DATA", OK, OK,
            "> 354 go", "content", "> 450 4.2.0 later", FROM, DAVE, "< DATA", OK, OK, "> 354 go", "content", OK, "< QUIT"),
      "next;0 permanent 5.1.1 remote;1 temporary 4.2.0 remote;2 done 2.0.0 remote;next;ended;", 3, 1, "" },
    { "RCPTMAX: a sender that is refused is refused for all",
      LINES(LIMITS "RCPTMAX=1", FROM, BOB, "< DATA", "> 550 5.7.1 no", "> 503 no", "> 503 no", "< RSET", OK, "< QUIT"),
      "next;0 permanent 5.7.1 remote;1 permanent 5.7.1 remote;next;ended;", 2, 1, "" },
    { "MAILMAX: one message a connection, and the queue is told that it is over",
      LINES(LIMITS "MAILMAX=1", FROM, BOB, "< DATA", OK, OK, "> 354 go", "content", OK, "< QUIT"),
      "next;0 done 2.0.0 remote;ended;", 1, 2, "" },
    { "MAILMAX and RCPTMAX: a connection for each recipient, nobody is put off",
      LINES(LIMITS "MAILMAX=1 RCPTMAX=1", FROM, BOB, "< DATA", OK, OK, "> 354 go", "content", OK, "< QUIT", LIMITS "RCPTMAX=1",
            FROM, CAROL, "< DATA", OK, OK, "> 354 go", "content", OK, FROM, DAVE, "< DATA", OK, OK, "> 354 go", "content", OK,
            "< QUIT"),
      "next;0 done 2.0.0 remote;1 done 2.0.0 remote;2 done 2.0.0 remote;next;ended;", 3, 1, "" },
    { "RCPTDOMAINMAX: another domain over another connection",
      LINES(LIMITS "RCPTDOMAINMAX=1", FROM, BOB, DAVE, "< DATA", OK, OK, OK, "> 354 go", "content", OK, "< QUIT",
            LIMITS "RCPTDOMAINMAX=1", FROM, "< RCPT TO:<eve@other.test>", "< DATA", OK, OK, "> 354 go", "content", OK, "< QUIT"),
      "next;0 done 2.0.0 remote;2 done 2.0.0 remote;1 done 2.0.0 remote;next;ended;", 3, 1, "", .second = "eve@other.test" },
    { "a connection that was closed between two parts of a message gets a successor",
      LINES(LIMITS "RCPTMAX=1", FROM, BOB, "< DATA", OK, OK, "> 354 go", "content", OK, "close", PIPELINING, FROM, CAROL,
            "< DATA", OK, OK, "> 354 go", "content", OK, "< QUIT"),
      "next;0 done 2.0.0 remote;1 done 2.0.0 remote;next;ended;", 2, 1, "" },
    { "a session that has had enough messages: the next goes over another, and nobody is put off",
      LINES(PIPELINING, FROM, BOB, "< DATA", OK, OK, "> 354 go", "content", OK, FROM, BOB, "< DATA",
            "> 421 too many messages in this connection", "close", PLAIN, FROM, OK, BOB, OK, GO, "content", OK, FROM,
            "> 452 4.5.3 Too many recipients: Too many messages sent", PLAIN, FROM, OK, BOB, OK, GO, "content", OK, "< QUIT"),
      "next;0 done 2.0.0 remote;next;0 done 2.0.0 remote;next;0 done 2.0.0 remote;next;ended;", 1, 3, "" },
    { "one that takes not even the first is deferred, and no other is made for it",
      LINES(PLAIN, FROM, "> 452 4.5.3 Too many messages sent", "< RSET", OK, "< QUIT"),
      "next;0 temporary 4.5.3 remote;next;ended;", 1, 1, "" },
    { "a server that tells by refusing how many recipients it takes, with what was pipelined",
      LINES(PIPELINING, FROM, BOB, CAROL, DAVE, "< DATA", OK, OK, "> 452 too many recipients", "> 452 too many recipients",
            "> 354 go", "content", "> 250 2.0.0 first", FROM, CAROL, "< DATA", OK, OK, "> 354 go", "content",
            "> 250 2.0.0 second", FROM, DAVE, "< DATA", OK, OK, "> 354 go", "content", "> 250 2.0.0 third", "< QUIT"),
      "next;0 done 2.0.0 remote;1 done 2.0.0 remote;2 done 2.0.0 remote;next;ended;", 3, 1, "" },
    { "and without: who was not named yet is not named any more",
      LINES(PLAIN, FROM, OK, BOB, OK, CAROL, "> 451 4.5.3 Too many recipients", GO, "content", OK, FROM, OK, CAROL, OK, GO,
            "content", OK, FROM, OK, DAVE, OK, GO, "content", OK, "< QUIT"),
      "next;0 done 2.0.0 remote;1 done 2.0.0 remote;2 done 2.0.0 remote;next;ended;", 3, 1, "" },
    { "one that takes none at all says it of each",
      LINES(PLAIN, FROM, OK, BOB, "> 452 4.5.3 too many recipients this hour", CAROL, "> 452 4.5.3 too many recipients this hour",
            "< RSET", OK, "< QUIT"),
      "next;0 temporary 4.5.3 remote;1 temporary 4.5.3 remote;next;ended;", 2, 1, "" },
    { "of a rate another session would say the same",
      LINES(PLAIN, FROM, OK, BOB, OK, GO, "content", OK, FROM, "> 450 4.7.1 too many messages from you; slow down", "< RSET", OK,
            "< QUIT"),
      "next;0 done 2.0.0 remote;next;0 temporary 4.7.1 remote;next;ended;", 1, 2, "" },
    { "an MX that wants a login bounces", LINES(PLAIN, FROM, "> 530 5.7.0 log in first", "< RSET", OK, "< QUIT"),
      "next;0 permanent 5.7.0 remote;next;ended;", 1, 1, "" },
};
/* clang-format on */

/* What should have arrived of MESSAGE. */
static void check_content(const struct world_server *server, const struct world_message *message)
{
    size_t prefix = strlen(message->prefix), once = strlen(message->content);
    size_t repeat = message->content_repeat ? message->content_repeat : 1;
    assert_int_equal(server->content_size, prefix + once * repeat);
    assert_memory_equal(server->content, message->prefix, prefix);
    for (size_t i = 0; i < repeat; i++)
        assert_memory_equal(server->content + prefix + i * once, message->content, once);
}

/* Plays one row. False, with what went otherwise, where it did not go as written. */
static bool play(const struct dialogue *dialogue)
{
    struct world world;
    struct world_server server;
    struct world_message message = world_plain;
    world_init(&world);
    world.messages = dialogue->messages;
    world.recipients = dialogue->recipients;
    if (dialogue->patience_ms)
        world.conf.delivery.command_timeout_ms = world.conf.delivery.data_timeout_ms = world.conf.delivery.dot_timeout_ms =
            dialogue->patience_ms;
    message.flags = dialogue->flags;
    message.sender = dialogue->sender ? dialogue->sender : message.sender;
    message.content = dialogue->content ? dialogue->content : message.content;
    message.content_repeat = dialogue->content_repeat;
    message.damage = dialogue->damage;
    if (dialogue->second)
        message.recipients[1] = dialogue->second;
    world_serve(&server, dialogue->script, NULL);
    world_begin(&world, &message, NULL);
    world_open(&world, "mx.test/10", server.port, dialogue->route ? "up.test" : NULL);
    world_run(&world, &world.closed, 10000);
    bool right = !strcmp(world.events, dialogue->events) && strstr(world.replies, dialogue->says);
    world_end(&world);
    pthread_join(server.thread, NULL);
    right = right && !server.problem[0];
    if (!right)
        print_error("%s:\n%s\n%s%s\n", dialogue->name, world.events, world.replies, server.problem);
    if (right && server.contents)
        check_content(&server, &message);
    free(server.content);
    return right;
}

static void test_dialogues(void **state)
{
    unsigned wrong = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(dialogues); i++)
        wrong += play(&dialogues[i]) ? 0 : 1;
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_dialogues) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
