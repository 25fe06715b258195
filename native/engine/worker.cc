#include "worker.h"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

#include "error.h"

namespace kagemusha {
namespace {

// A batch of trains is a lot of work: one source may have BatchMemory::kBatchBytes per turn, where each
// packet on the wire counts as so many more.
constexpr std::size_t kPacketCost = 256;

// A flood fills the uplink's queue in milliseconds while other threads have the processor: what the engine
// does is short, and everybody's packets wait for it.
constexpr int kNice = -10;

Instant read(clockid_t clock) {
  timespec time;
  ::clock_gettime(clock, &time);
  return static_cast<Instant>(time.tv_sec) * kSecond + static_cast<Instant>(time.tv_nsec);
}

// What does not fit is cut off; no IPv6 packet is that long.
Bytes copyInto(Bytes memory, ConstBytes bytes) {
  const Bytes copy = memory.first(std::min(memory.size(), bytes.size()));
  std::memcpy(copy.data(), bytes.data(), copy.size());
  return copy;
}

// To a tick of the kernel (1 to 10 ms), without entering it.
Instant coarseNow() { return read(CLOCK_MONOTONIC_COARSE); }
Instant preciseNow() { return read(CLOCK_MONOTONIC); }

bool addTo(const UniqueFd& epoll, int fd, std::uint32_t events = EPOLLIN) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

[[noreturn]] void throwUnwatched(int error) {
  throw EngineError("OUT_OF_DESCRIPTORS", std::string("cannot watch a device of the packet engine (") +
                                              std::strerror(error) +
                                              "): raise the sysctl fs.epoll.max_user_watches");
}

// Expires every second from now on, or never.
void setTimer(int fd, bool running) {
  itimerspec time{};
  time.it_value.tv_sec = time.it_interval.tv_sec = running ? 1 : 0;
  ::timerfd_settime(fd, 0, &time, nullptr);
}

// While it lives the calling thread, and what it starts, takes no signals: they belong to the threads of the
// program that we are a library of.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

Worker::Worker(std::size_t index, const Region& region, SlowPath& slowPath, Policing& policing,
               Published<TunnelTable>& table, std::optional<SlowPathRing> transmitRing, bool busyPoll)
    : index_(index),
      busyPoll_(busyPoll),
      counters_(region.engineCounters()),
      slowPath_(slowPath),
      table_(table),
      transmitRing_(transmitRing),
      forwarder_(region, slowPath, policing),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      urgent_(::epoll_create1(EPOLL_CLOEXEC)),
      event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {
  const auto watched = [this](const UniqueFd& fd) {
    return fd && addTo(epoll_, fd.get()) && addTo(urgent_, fd.get());
  };
  if (!epoll_ || !urgent_ || !watched(event_) || !watched(timer_))
    throw EngineError(
        "OUT_OF_DESCRIPTORS",
        "cannot create an event loop for the packet engine: raise the limit of open files (ulimit -n)");
  {
    const SignalsBlocked blocked;
    thread_ = std::thread([this] { run(); });
  }
  ::pthread_setname_np(thread_.native_handle(), ("kagemusha/" + std::to_string(index)).c_str());
}

Worker::~Worker() {
  call([this] { stopping_ = true; });
  thread_.join();
}

void Worker::kick() { ::eventfd_write(event_.get(), 1); }

void Worker::call(std::function<void()> command) {
  std::unique_lock lock(mutex_);
  command_ = std::move(command);
  kick();
  done_.wait(lock, [this] { return !command_; });
}

void Worker::add(std::shared_ptr<Port> port) {
  int error = 0;
  call([&] { error = watch({std::move(port), nullptr}); });
  if (error != 0) throwUnwatched(error);
}

void Worker::add(std::shared_ptr<Uplink> uplink) {
  int error = 0;
  call([&] { error = watch({nullptr, std::move(uplink)}); });
  if (error != 0) throwUnwatched(error);
}

void Worker::addSender(std::shared_ptr<Device> uplink) {
  int error = 0;
  call([&] {
    // Nobody waits for it yet.
    if (addTo(urgent_, uplink->sendFd(), EPOLLONESHOT))
      sender_ = std::move(uplink);
    else
      error = errno;
  });
  if (error != 0) throwUnwatched(error);
}

void Worker::remove(const Device& device) {
  call([&] {
    unwatch(device);
    sources_.erase(device.fd());
  });
}

void Worker::removeSender() {
  call([&] {
    if (sender_) ::epoll_ctl(urgent_.get(), EPOLL_CTL_DEL, sender_->sendFd(), nullptr);
    sender_ = nullptr;
  });
}

int Worker::watch(Source source) {
  const int fd = source.device().fd();
  if (!addTo(epoll_, fd) || (!mayWait(source) && !addTo(urgent_, fd))) {
    const int error = errno;
    unwatch(source.device());
    return error;
  }
  if (source.device().wantsLook()) setTimer(timer_.get(), true);
  sources_.insert_or_assign(fd, std::move(source));
  return 0;
}

void Worker::unwatch(const Device& device) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, device.fd(), nullptr);
  ::epoll_ctl(urgent_.get(), EPOLL_CTL_DEL, device.fd(), nullptr);
}

void Worker::run() {
  // Linux has a nice value for each thread. Without CAP_SYS_NICE it stays as it is.
  ::setpriority(PRIO_PROCESS, 0, kNice);
  epoll_event events[64];
  while (!stopping_) {
    const int count = wait(events);
    counters_.add(EngineCounter::wakeups);
    for (int index = 0; index < count; ++index) {
      const int fd = events[index].data.fd;
      if (fd == event_.get()) {
        eventfd_t asked;
        ::eventfd_read(fd, &asked);
        runCommands();
        transmit();
      } else if (fd == timer_.get()) {
        look();
      } else if (sender_ && fd == sender_->sendFd()) {
        resume();
      } else if (const auto source = sources_.find(fd);
                 source != sources_.end()) {  // else: removed in this very turn
        serve(source->second, events[index].events);
      }
    }
  }
}

int Worker::wait(std::span<epoll_event> events) {
  const int set = waiting_ ? urgent_.get() : epoll_.get(), most = static_cast<int>(events.size());
  if (busyPoll_) {
    const Instant end = preciseNow() + kBusyFor;
    do {
      if (const int count = ::epoll_wait(set, events.data(), most, 0); count != 0) return count;
      ::sched_yield();  // whoever has this processor to run on may be whom we wait for
    } while (preciseNow() < end);
  }
  return ::epoll_wait(set, events.data(), most, -1);
}

void Worker::runCommands() {
  const std::lock_guard lock(mutex_);
  if (!command_) return;
  command_();
  command_ = nullptr;
  done_.notify_one();
}

void Worker::transmit() {
  if (!transmitRing_) return;
  transmitRing_->answered();  // before looking: what comes later asks again
  forwarder_.beginBatch(table_.enter(index_), coarseNow());
  forwarder_.transmit(*transmitRing_);
  forwarder_.endBatch();
  table_.leave(index_);
  settle();
}

void Worker::settle() {
  const bool waits = forwarder_.waiting();
  if (waits && !waiting_) {
    // Once: everything that leaves the device would wake us otherwise.
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLONESHOT;
    event.data.fd = sender_->sendFd();
    ::epoll_ctl(urgent_.get(), EPOLL_CTL_MOD, event.data.fd, &event);
  }
  waiting_ = waits;
  if (forwarder_.takeUplinkGone()) lose(*sender_, Io::kGone);
}

void Worker::resume() {
  forwarder_.beginBatch(table_.enter(index_), coarseNow());
  forwarder_.resume();
  forwarder_.endBatch(Forwarder::Memory::kStays);
  table_.leave(index_);
  waiting_ = false;
  settle();
}

void Worker::serve(Source& source, std::uint32_t events) {
  Device& device = source.device();
  if (events & EPOLLERR && device.takeError() == Io::kGone) return lose(device, Io::kGone);
  if (source.uplink)
    serveUplink(device);
  else if (!waiting_ || !mayWait(source))  // it may have begun in this very turn
    servePort(*source.port);
}

void Worker::look() {
  std::uint64_t times;
  static_cast<void>(::read(timer_.get(), &times, sizeof times));
  std::vector<Device*> gone;
  bool goesOn = false;
  for (const auto& [fd, source] : sources_) {
    if (!source.device().wantsLook()) continue;
    if (source.device().look() == Io::kGone)
      gone.push_back(&source.device());
    else
      goesOn = true;
    if (source.uplink) countLosses(source.device());
  }
  for (Device* device : gone) lose(*device, Io::kGone);
  if (!goesOn) setTimer(timer_.get(), false);
}

// Memory whose packet is not held serves the next read too: a small part of it stays in the cache. What a
// device reads into memory of its own may have to wait for an uplink that sends many at a time: it goes to
// ours as well.
void Worker::servePort(Port& port) {
  Device& device = *port.device;
  Io result = Io::kDone;
  forwarder_.beginBatch(table_.enter(index_), coarseNow());
  auto place = waiting_ ? memory_.meanwhile() : memory_.batch();
  std::size_t bytes = 0;
  for (std::size_t turn = 0; turn < Forwarder::kBatch && bytes < BatchMemory::kBatchBytes && !place.full();
       ++turn) {
    const Bytes memory = place.next();
    Packet packet;
    result = device.read(memory, packet);
    if (result != Io::kDone) break;
    bytes += packet.bytes.size() + kPacketCost * segmentsAtMost(packet);
    if (sender_ && packet.bytes.data() != memory.data()) packet.bytes = copyInto(memory, packet.bytes);
    if (forwarder_.fromPort(port, packet)) place.keep(packet.bytes.size());
    if (forwarder_.waiting() && !waiting_) break;
  }
  forwarder_.endBatch(Forwarder::Memory::kStays);
  device.endBatch();
  table_.leave(index_);
  const bool began = !waiting_;
  settle();
  if (waiting_ && began) toTheEnd(device);
  if (result == Io::kGone || result == Io::kNonsense) lose(device, result);
}

// epoll gives what is readable in turn, and this device comes after all others: who has so much to send that
// the uplink has to be waited for would be the first one again otherwise, each time.
void Worker::toTheEnd(Device& device) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, device.fd(), nullptr);
  if (!addTo(epoll_, device.fd())) lose(device, Io::kGone);  // rather than to forget it in silence
}

void Worker::serveUplink(Device& device) {
  Io result = Io::kDone;
  forwarder_.beginBatch(table_.enter(index_), coarseNow());
  auto place = waiting_ ? memory_.meanwhile() : memory_.batch();
  std::size_t bytes = 0;
  for (std::size_t turn = 0; turn < Forwarder::kBatch && bytes < BatchMemory::kBatchBytes && !place.full();
       ++turn) {
    const Bytes memory = place.next();
    Packet packet;
    result = device.read(memory, packet);
    if (result != Io::kDone) break;
    bytes += packet.bytes.size() + kPacketCost * segmentsAtMost(packet);
    const bool ours = packet.bytes.data() == memory.data();
    const std::size_t length = packet.bytes.size();
    if (forwarder_.fromUplink(packet) && ours) place.keep(length);
  }
  forwarder_.endBatch();
  device.endBatch();
  countLosses(device);
  table_.leave(index_);
  settle();
  if (result == Io::kGone) lose(device, result);
}

void Worker::countLosses(Device& device) {
  const auto [full, stopped, unsent] = device.takeLosses();
  if (full != 0) counters_.drop(Drop::uplink_overrun, full);
  if (stopped != 0) counters_.drop(Drop::uplink_stopped, stopped);
  if (unsent != 0) counters_.drop(Drop::uplink_full, unsent);
}

// The device is in no list afterwards, and may be gone.
void Worker::lose(Device& device, Io why) {
  const auto source = sources_.find(device.fd());
  if (source == sources_.end()) return;  // another worker's, or lost before
  if (const auto& port = source->second.port) {
    port->counters.add(PortCounter::lost);
    if (why == Io::kNonsense) port->counters.drop(Drop::stream_nonsense);
  }
  if (source->second.uplink) counters_.add(EngineCounter::uplinksLost);
  counters_.add(EngineCounter::devicesLost);  // last: who sees it looks at the others
  unwatch(device);
  sources_.erase(source);
  slowPath_.wake();  // JavaScript finds it counted
}

}  // namespace kagemusha
