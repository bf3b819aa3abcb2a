/* KEYS are the buckets. ARGV has for each of them "count per burst debt known", and then one text with all claims, five numbers each:
 * the question, the index of the key, n, the flags, the group. The answer is a flat list of numbers: a wait for each claim (-1: never, -2:
 * not looked at), then what is used for each key.
 *
 * A bucket is kept as a text of four numbers: used, remainder, the period that the remainder is a part of, and when. For some seconds after it
 * was cleared there is a fifth, until when nothing known is believed, since a machine that has not heard of it yet would bring back all. So machines with
 * different rates may share it: each drains by its own rule from the last change on, and a remainder in parts of another period is
 * converted, rounded up. It expires when it would be empty. What is found under a key and is no such text counts as empty.
 *
 * dt * count / per would leave the doubles' exact range: `muldiv` multiplies in steps of 13 bits, so that no product passes 2^52. What
 * is surely empty is told by floating point before, with a margin; so whole numbers never have to hold more than a bucket can.
 *
 * Redis's clock may go back, or that of the one that takes over may be behind. What was written by a time that is yet to come is as full as
 * it was, and drains from now on: it is written anew, or nothing would drain from it until that time.
 *
 * Known is believed only where it is well above what Redis has: a machine's own view may be some milliseconds of drain behind, and to
 * lift a bucket by so little again and again would stop its draining. */
#include "redis_script.h"

#include "../relay/base/text.h"

static const char script[] = "local floor, ceil, format = math.floor, math.ceil, string.format\n"
                             "local clock = redis.call('TIME')\n"
                             "local now = clock[1] * 1000 + floor(clock[2] / 1000)\n"
                             "local nkeys = #KEYS\n"
                             "local used, rest, count, per, burst, most, changed, deaf = {}, {}, {}, {}, {}, {}, {}, {}\n"
                             /* a * b / m in whole numbers, and what remains; each below 2^39 */
                             "local function muldiv(a, b, m)\n"
                             "  local q, r = 0, 0\n"
                             "  for _, s in ipairs({67108864, 8192, 1}) do\n"
                             "    local x = r * 8192 + a * (floor(b / s) % 8192)\n"
                             "    q = q * 8192 + floor(x / m)\n"
                             "    r = x % m\n"
                             "  end\n"
                             "  return q, r\n"
                             "end\n"
                             "local function drain(u, r, c, p, dt)\n"
                             "  if dt <= 0 or (u == 0 and r == 0) then return u, r end\n"
                             "  if dt * (c / p) > u + 2 then return 0, 0 end\n"
                             "  local q, f = muldiv(c % p, dt, p)\n"
                             "  u = u - q - floor(c / p) * dt\n"
                             "  r = r - f\n"
                             "  if r < 0 then u, r = u - 1, r + p end\n"
                             "  if u < 0 then return 0, 0 end\n"
                             "  return u, r\n"
                             "end\n"
                             "local kept = {}\n"
                             "if nkeys > 0 then kept = redis.call('MGET', unpack(KEYS)) end\n"
                             "for i = 1, nkeys do\n"
                             "  local c, p, b, d, known = string.match(ARGV[i], '^(%d+) (%d+) (%d+) (%d+) (%d+)$')\n"
                             "  c, p, b, known = tonumber(c), tonumber(p), tonumber(b), tonumber(known)\n"
                             "  count[i], per[i], burst[i], most[i] = c, p, b, b + tonumber(d)\n"
                             "  local u, r, deafness = 0, 0, 0\n"
                             "  local ku, kr, kp, at, till = string.match(kept[i] or '', '^(%d+) (%d+) (%d+) (%d+) ?(%d*)$')\n"
                             "  if ku and #ku <= 16 and #kr <= 12 and #kp <= 12 and #at <= 15 and #till <= 15 then\n"
                             "    deafness = (tonumber(till) or 0) - now\n"
                             "    u, r, kp = tonumber(ku), tonumber(kr), tonumber(kp)\n"
                             "    if u > 4503599627370496 then u = 4503599627370496 end\n"
                             "    if kp < 1 or r >= kp then r, kp = 0, p end\n"
                             "    if kp ~= p then\n"
                             "      local q, f = muldiv(r, p, kp)\n"
                             "      r = f > 0 and q + 1 or q\n"
                             "      if r >= p then u, r = u + 1, 0 end\n"
                             "    end\n"
                             "    local dt = now - tonumber(at)\n"
                             "    changed[i] = dt < 0\n"
                             "    u, r = drain(u, r, c, p, dt < 315576000000 and dt or 315576000000)\n"
                             "  end\n"
                             "  if known > most[i] then known = most[i] end\n"
                             "  if deafness > 0 and deafness <= 2000 then deaf[i] = now + deafness end\n"
                             "  if not deaf[i] and known > u + 1 + floor(b / 64) then u, r, changed[i] = known, 0, true end\n"
                             "  used[i], rest[i] = u, r\n"
                             "end\n"
                             "local answer, counts, seen = {}, {}, {}\n"
                             "local question, fits, stop, stopped = nil, true, false, false\n"
                             "local function settle()\n"
                             "  for _, claim in ipairs(fits and counts or {}) do\n"
                             "    local i = claim[1]\n"
                             "    local u, r = used[i] + claim[2], rest[i]\n"
                             "    if u >= most[i] then u, r = most[i], 0 end\n"
                             "    if u > used[i] or (u == used[i] and r > rest[i]) then used[i], rest[i] = u, r end\n"
                             "    changed[i] = true\n"
                             "    seen[claim[3]] = true\n"
                             "  end\n"
                             "  stopped = stopped or stop\n"
                             "  counts, fits, stop = {}, true, false\n"
                             "end\n"
                             "local function look(i, n, f, g)\n"
                             "  if g ~= '0' and seen[g] then return 0 end\n"
                             "  if f >= 16 then used[i], rest[i], changed[i], deaf[i] = 0, 0, true, now + 2000 end\n"
                             "  local room, wait = burst[i] - n, 0\n"
                             "  if room < 0 then\n"
                             "    wait = -1\n"
                             "  elseif used[i] > room or (used[i] == room and rest[i] > 0) then\n"
                             "    wait = ceil(((used[i] - room) * per[i] + rest[i]) / count[i])\n"
                             "    if wait > 315576000000 then wait = 315576000000 end\n"
                             "  end\n"
                             "  if wait ~= 0 and f % 4 >= 2 then fits = false end\n"
                             "  if wait ~= 0 and f % 16 >= 8 then stop = true end\n"
                             "  if f % 8 >= 4 and wait ~= 0 then n = 0 end\n"
                             "  if f % 2 == 0 then counts[#counts + 1] = {i, n, g} end\n"
                             "  return wait\n"
                             "end\n"
                             "for q, i, n, f, g in string.gmatch(ARGV[nkeys + 1], '(%d+) (%d+) (%d+) (%d+) (%d+)') do\n"
                             "  if q ~= question then settle() end\n"
                             "  question = q\n"
                             "  answer[#answer + 1] = stopped and -2 or look(tonumber(i), tonumber(n), tonumber(f), g)\n"
                             "end\n"
                             "settle()\n"
                             "for i = 1, nkeys do\n"
                             "  if changed[i] then\n"
                             "    local empty = ceil((used[i] + 1) * per[i] / count[i])\n"
                             "    if empty > 315576000000 then empty = 315576000000 end\n"
                             "    if deaf[i] and empty < 1000 then empty = 1000 end\n"
                             "    local text = format('%.0f %.0f %.0f %.0f', used[i], rest[i], per[i], now)\n"
                             "    if deaf[i] then text = text .. format(' %.0f', deaf[i]) end\n"
                             "    redis.call('SET', KEYS[i], text, 'PX', format('%.0f', empty + 1000))\n"
                             "  end\n"
                             "  answer[#answer + 1] = used[i] + (rest[i] > 0 and 1 or 0)\n"
                             "end\n"
                             "return answer\n";

struct span redis_script_text(void)
{
    return SPAN(script);
}

static uint64_t bounded(uint64_t value, uint64_t min, uint64_t max)
{
    return value < min ? min : value > max ? max : value;
}

static bool add_argument(struct buffer *out, struct span argument)
{
    return buffer_addf(out, "$%zu\r\n", argument.n) && buffer_add(out, argument) && buffer_add(out, SPAN("\r\n"));
}

bool redis_script_arguments(const struct span *argv, size_t argc, struct buffer *out)
{
    size_t before = buffer_size(out);
    bool fits = buffer_addf(out, "*%zu\r\n", argc);
    for (size_t i = 0; i < argc && fits; i++)
        fits = add_argument(out, argv[i]);
    if (!fits)
        buffer_truncate(out, before);
    return fits;
}

static bool add_rule(struct buffer *out, const struct redis_key *key)
{
    char text[128];
    const struct bucket_rule *rule = &key->rule;
    uint64_t per_ms = rule->per_ms < 1 ? 1 : bounded((uint64_t)rule->per_ms, 1, BUCKET_TIME_MAX);
    text_format(text, sizeof text, "%llu %llu %llu %llu %llu",
                (unsigned long long)bounded(rule->count, 1, REDIS_SCRIPT_UNITS_MAX), (unsigned long long)per_ms,
                (unsigned long long)bounded(rule->burst, 1, REDIS_SCRIPT_UNITS_MAX),
                (unsigned long long)bounded(rule->debt, 0, REDIS_SCRIPT_UNITS_MAX),
                (unsigned long long)bounded(key->known, 0, 2 * REDIS_SCRIPT_UNITS_MAX));
    return add_argument(out, span_of(text));
}

/* The claims as one text. What is more than any burst stays so. */
static bool add_claims(struct buffer *out, const struct redis_ask *ask)
{
    struct buffer text;
    buffer_init(&text, REDIS_SCRIPT_CLAIMS_MAX * 64);
    for (size_t i = 0; i < ask->nclaims; i++) {
        const struct redis_claim *claim = &ask->claims[i];
        buffer_addf(&text, "%u %u %llu %u %u ", claim->question, claim->key + 1,
                    (unsigned long long)bounded(claim->n, 0, REDIS_SCRIPT_UNITS_MAX + 1), claim->flags, claim->group);
    }
    bool fits = !text.overflow && add_argument(out, buffer_span(&text));
    buffer_fini(&text);
    return fits;
}

bool redis_script_command(const struct redis_ask *ask, const char *sha, struct buffer *out)
{
    size_t before = buffer_size(out);
    char number[24];
    if (ask->nkeys > REDIS_SCRIPT_KEYS_MAX || ask->nclaims > REDIS_SCRIPT_CLAIMS_MAX)
        return false;
    text_format(number, sizeof number, "%zu", ask->nkeys);
    bool fits = buffer_addf(out, "*%zu\r\n", 4 + 2 * ask->nkeys) && add_argument(out, SPAN("EVALSHA")) &&
                add_argument(out, span_of(sha)) && add_argument(out, span_of(number));
    for (size_t i = 0; i < ask->nkeys && fits; i++)
        fits = add_argument(out, ask->keys[i].name);
    for (size_t i = 0; i < ask->nkeys && fits; i++)
        fits = add_rule(out, &ask->keys[i]);
    if (fits && add_claims(out, ask))
        return true;
    buffer_truncate(out, before);
    return false;
}

bool redis_script_answer(const redisReply *reply, int64_t *waits_ms, size_t nclaims, uint64_t *used, size_t nkeys)
{
    if (!reply || reply->type != REDIS_REPLY_ARRAY || (size_t)reply->elements != nclaims + nkeys)
        return false;
    for (size_t i = 0; i < nclaims + nkeys; i++) {
        const redisReply *element = reply->element[i];
        int64_t min = i < nclaims ? -2 : 0;
        int64_t max = i < nclaims ? BUCKET_TIME_MAX : (int64_t)(4 * REDIS_SCRIPT_UNITS_MAX);
        if (!element || element->type != REDIS_REPLY_INTEGER || element->integer < min || element->integer > max)
            return false;
        if (i < nclaims)
            waits_ms[i] = element->integer == -1 ? BUCKET_NEVER : element->integer < 0 ? REDIS_NOT_LOOKED : element->integer;
        else
            used[i - nclaims] = (uint64_t)element->integer;
    }
    return true;
}
