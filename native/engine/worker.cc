#include "worker.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "error.h"

namespace kagemusha {
namespace {

// A batch of trains is a lot of work: one source may have this many octets per turn, where each packet on the
// wire counts as so many more.
constexpr std::size_t kBatchBytes = 512 * 1024;
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
Bytes copyInto(Bytes slot, ConstBytes bytes) {
  const Bytes copy = slot.first(std::min(slot.size(), bytes.size()));
  std::memcpy(copy.data(), bytes.data(), copy.size());
  return copy;
}

// To a tick of the kernel (1 to 10 ms), without entering it.
Instant coarseNow() { return read(CLOCK_MONOTONIC_COARSE); }
Instant preciseNow() { return read(CLOCK_MONOTONIC); }

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
      event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = event_.get();
  if (!epoll_ || !urgent_ || !event_ || ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, event_.get(), &event) != 0 ||
      ::epoll_ctl(urgent_.get(), EPOLL_CTL_ADD, event_.get(), &event) != 0)
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
  call([&] { watch({std::move(port), nullptr}); });
}

void Worker::add(std::shared_ptr<Uplink> uplink) {
  call([&] { watch({nullptr, std::move(uplink)}); });
}

void Worker::addSender(std::shared_ptr<Device> uplink) {
  call([&] {
    epoll_event event{};
    event.events = EPOLLONESHOT;  // nobody waits for it yet
    event.data.fd = uplink->sendFd();
    ::epoll_ctl(urgent_.get(), EPOLL_CTL_ADD, event.data.fd, &event);
    sender_ = std::move(uplink);
  });
}

void Worker::remove(const Device& device) {
  call([&] {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, device.fd(), nullptr);
    ::epoll_ctl(urgent_.get(), EPOLL_CTL_DEL, device.fd(), nullptr);
    sources_.erase(device.fd());
  });
}

void Worker::watch(Source source) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = source.device().fd();
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, event.data.fd, &event);
  if (!mayWait(source)) ::epoll_ctl(urgent_.get(), EPOLL_CTL_ADD, event.data.fd, &event);
  sources_.insert_or_assign(event.data.fd, std::move(source));
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
    event.events = EPOLLOUT | EPOLLONESHOT;
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

// A slot whose packet is not held serves the next read too: a small part of the ring stays in the cache. What
// a device reads into memory of its own may have to wait for an uplink that sends many at a time: it goes to
// a slot as well.
void Worker::servePort(Port& port) {
  Device& device = *port.device;
  Io result = Io::kDone;
  forwarder_.beginBatch(table_.enter(index_), coarseNow());
  std::size_t slot = waiting_ ? BufferRing::kPortSlots : 0, bytes = 0;
  const std::size_t end = waiting_ ? BufferRing::kSlots : BufferRing::kPortSlots;
  for (std::size_t turn = 0; turn < Forwarder::kBatch && bytes < kBatchBytes; ++turn) {
    const Bytes memory = buffers_.slot(slot);
    Packet packet;
    result = device.read(memory, packet);
    if (result != Io::kDone) break;
    bytes += packet.bytes.size() + kPacketCost * segmentsAtMost(packet);
    if (sender_ && packet.bytes.data() != memory.data()) packet.bytes = copyInto(memory, packet.bytes);
    if (forwarder_.fromPort(port, packet) && ++slot == end) break;
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
void Worker::toTheEnd(const Device& device) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = device.fd();
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, event.data.fd, nullptr);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, event.data.fd, &event);
}

void Worker::serveUplink(Device& device) {
  Io result = Io::kDone;
  forwarder_.beginBatch(table_.enter(index_), coarseNow());
  std::size_t slot = waiting_ ? BufferRing::kPortSlots : 0, bytes = 0;
  for (std::size_t turn = 0; turn < Forwarder::kBatch && bytes < kBatchBytes; ++turn) {
    const Bytes memory = buffers_.slot(slot);
    Packet packet;
    result = device.read(memory, packet);
    if (result != Io::kDone) break;
    bytes += packet.bytes.size() + kPacketCost * segmentsAtMost(packet);
    const bool inSlot = packet.bytes.data() == memory.data();
    if (forwarder_.fromUplink(packet) && inSlot && ++slot == BufferRing::kSlots) break;
  }
  forwarder_.endBatch();
  device.endBatch();
  if (const auto lost = device.takeOverruns()) counters_.drop(Drop::uplink_overrun, lost);
  table_.leave(index_);
  settle();
  if (result == Io::kGone) lose(device, result);
}

// The device is in no list afterwards, and may be gone.
void Worker::lose(Device& device, Io why) {
  const auto source = sources_.find(device.fd());
  if (source == sources_.end()) return;  // another worker's, or lost before
  if (const auto& port = source->second.port) {
    port->counters.add(PortCounter::lost);
    if (why == Io::kNonsense) port->counters.drop(Drop::stream_nonsense);
  }
  if (source->second.uplink) counters_.add(EngineCounter::uplinkLost);
  counters_.add(EngineCounter::devicesLost);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, device.fd(), nullptr);
  ::epoll_ctl(urgent_.get(), EPOLL_CTL_DEL, device.fd(), nullptr);
  sources_.erase(source);
  slowPath_.wake();  // JavaScript finds it counted
}

}  // namespace kagemusha
