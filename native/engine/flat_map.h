// A hash table that is built once and then only read.
#pragma once

#include <bit>
#include <cstddef>
#include <functional>
#include <vector>

namespace kagemusha {

// Open addressing, linear probing, at most half full, so that a lookup ends within a few neighbouring
// entries. Never written after it was shared between threads.
template <class Key, class Value>
class FlatMap {
 public:
  // Room for `count` keys.
  explicit FlatMap(std::size_t count = 0) : entries_(std::bit_ceil(2 * count + 1)) {}

  // False, and nothing changed, when the key is there. At most `count` keys.
  bool insert(const Key& key, const Value& value) {
    auto index = home(key);
    for (; entries_[index].used; index = next(index))
      if (entries_[index].key == key) return false;
    entries_[index] = {key, value, true};
    return true;
  }

  // The same, but the key that is there gets the value. At most `count` keys.
  void set(const Key& key, const Value& value) {
    auto index = home(key);
    while (entries_[index].used && entries_[index].key != key) index = next(index);
    entries_[index] = {key, value, true};
  }

  const Value* find(const Key& key) const {
    for (auto index = home(key); entries_[index].used; index = next(index))
      if (entries_[index].key == key) return &entries_[index].value;
    return nullptr;
  }

 private:
  struct Entry {
    Key key{};
    Value value{};
    bool used = false;
  };
  std::size_t home(const Key& key) const { return std::hash<Key>{}(key) & (entries_.size() - 1); }
  std::size_t next(std::size_t index) const { return (index + 1) & (entries_.size() - 1); }

  std::vector<Entry> entries_;
};

}  // namespace kagemusha
