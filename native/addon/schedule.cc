#include "schedule.h"

#include <linux/sched.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "convert.h"

namespace kagemusha {
namespace {

// struct sched_attr of sched_setattr(2), as of its first version: glibc before 2.41 has none.
struct Attributes {
  std::uint32_t size = sizeof(Attributes);
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0;  // of SCHED_OTHER: the slice, nanoseconds
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};
static_assert(sizeof(Attributes) == 48);

bool shorten(std::uint32_t microseconds) {
  Attributes attributes;
  if (::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return false;
  if (attributes.policy != SCHED_OTHER) return false;
  attributes.size = sizeof attributes;
  attributes.flags = SCHED_FLAG_RESET_ON_FORK;
  attributes.runtime = std::uint64_t{microseconds} * 1000;
  return ::syscall(SYS_sched_setattr, 0, &attributes, 0) == 0;
}

}  // namespace

Napi::Value shortenSlice(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    return Napi::Boolean::New(info.Env(), shorten(number(info[0], "microseconds")));
  });
}

}  // namespace kagemusha
