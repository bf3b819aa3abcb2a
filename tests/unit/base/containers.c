/* Map, heap and list against the plainest model of each. */
#include "../../../relay/base/heap.h"
#include "../../../relay/base/list.h"
#include "../../../relay/base/map.h"
#include "../../../relay/base/random.h"
#include "../unit.h"

#define KEYS 500

static struct span key_of(unsigned i, char text[16])
{
    snprintf(text, 16, "key-%u", i);
    return span_of(text);
}

static void test_map_against_an_array(void **state)
{
    struct map *map = map_new(0);
    static int values[KEYS];
    bool in[KEYS] = { false };
    size_t count = 0;
    char text[16];
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        unsigned i = random_below(KEYS);
        struct span key = key_of(i, text);
        if (random_below(2)) {
            void *before = map_put(map, key, &values[i], NULL);
            assert_ptr_equal(before, in[i] ? &values[i] : NULL);
            count += !in[i];
            in[i] = true;
        } else {
            assert_ptr_equal(map_remove(map, key), in[i] ? &values[i] : NULL);
            count -= in[i];
            in[i] = false;
        }
        assert_int_equal(map_count(map), count);
    }
    for (unsigned i = 0; i < KEYS; i++)
        assert_ptr_equal(map_get(map, key_of(i, text)), in[i] ? &values[i] : NULL);
    map_free(&map, NULL);
    assert_null(map);
    map_free(&map, NULL);
}

static void test_map_full(void **state)
{
    struct map *map = map_new(2);
    int value;
    bool full;
    (void)state;
    map_put(map, SPAN("a"), &value, &full);
    map_put(map, SPAN(""), &value, &full);
    assert_false(full);
    assert_null(map_put(map, SPAN("c"), &value, &full));
    assert_true(full);
    assert_ptr_equal(map_put(map, SPAN("a"), &value, &full), &value);
    assert_false(full);
    map_free(&map, NULL);
}

static void test_heap_sorts(void **state)
{
    static struct heap_node nodes[KEYS];
    struct heap heap;
    (void)state;
    heap_init(&heap);
    for (unsigned i = 0; i < KEYS; i++)
        heap_set(&heap, &nodes[i], (int64_t)random_below(1000));
    for (unsigned i = 0; i < KEYS; i += 2)
        heap_set(&heap, &nodes[i], (int64_t)random_below(1000));
    for (unsigned i = 0; i < KEYS; i += 5)
        heap_remove(&heap, &nodes[i]);
    heap_remove(&heap, &nodes[0]);
    assert_int_equal(heap.count, KEYS - KEYS / 5);
    int64_t before = -1;
    for (struct heap_node *node; (node = heap_first(&heap));) {
        assert_true(node->key >= before);
        before = node->key;
        heap_remove(&heap, node);
        assert_int_equal(node->position, 0);
    }
    heap_fini(&heap);
}

static void test_list(void **state)
{
    struct item {
        struct list node;
        int value;
    } items[3] = { { .value = 1 }, { .value = 2 }, { .value = 3 } };
    struct list head;
    int sum = 0;
    (void)state;
    list_init(&head);
    list_append(&head, &items[1].node);
    list_append(&head, &items[2].node);
    list_prepend(&head, &items[0].node);
    LIST_EACH(node, &head) {
        struct item *item = LIST_ENTRY(node, struct item, node);
        sum = sum * 10 + item->value;
        list_remove(node);
    }
    assert_int_equal(sum, 123);
    assert_true(list_empty(&head));
    list_remove(&items[0].node);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_map_against_an_array), cmocka_unit_test(test_map_full),
                                        cmocka_unit_test(test_heap_sorts), cmocka_unit_test(test_list) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
