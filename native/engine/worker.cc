#include "worker.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>

#include "error.h"

namespace kagemusha {
namespace {

// A batch of trains is a lot of work: one source may have this many octets per turn.
constexpr std::size_t kBatchBytes = 512 * 1024;

// A flood fills the uplink's queue in milliseconds while other threads have the processor: what the engine
// does is short, and everybody's packets wait for it.
constexpr int kNice = -10;

// To a tick of the kernel (1 to 10 ms), without entering it.
Instant coarseNow() {
  timespec time;
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return static_cast<Instant>(time.tv_sec) * kSecond + static_cast<Instant>(time.tv_nsec);
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
               Published<TunnelTable>& table, std::optional<SlowPathRing> transmitRing)
    : index_(index),
      counters_(region.engineCounters()),
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
    sources_.erase(device.fd());
  });
}

void Worker::watch(Source source) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = source.device().fd();
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, event.data.fd, &event);
  if (source.uplink) ::epoll_ctl(urgent_.get(), EPOLL_CTL_ADD, event.data.fd, &event);
  sources_.insert_or_assign(event.data.fd, std::move(source));
}

void Worker::run() {
  // Linux has a nice value for each thread. Without CAP_SYS_NICE it stays as it is.
  ::setpriority(PRIO_PROCESS, 0, kNice);
  epoll_event events[64];
  while (!stopping_) {
    const int count = ::epoll_wait(waiting_ ? urgent_.get() : epoll_.get(), events, 64, -1);
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
  if (events & EPOLLERR && device.takeError() == Io::kGone) return lose(device);
  if (source.uplink)
    serveUplink(device);
  else if (!waiting_)  // it may have begun in this very turn
    servePort(*source.port);
}

// A slot whose packet is not held serves the next read too: a small part of the ring stays in the cache.
void Worker::servePort(Port& port) {
  Device& device = *port.device;
  Io result = Io::kDone;
  forwarder_.beginBatch(table_.enter(index_), coarseNow());
  std::size_t slot = 0, bytes = 0;
  for (std::size_t turn = 0; turn < Forwarder::kBatch && bytes < kBatchBytes; ++turn) {
    Packet packet;
    result = device.read(buffers_.slot(slot), packet);
    if (result != Io::kDone) break;
    bytes += packet.bytes.size();
    if (forwarder_.fromPort(port, packet) && ++slot == BufferRing::kPortSlots) break;
    if (forwarder_.waiting()) break;
  }
  forwarder_.endBatch(Forwarder::Memory::kStays);
  table_.leave(index_);
  settle();
  if (result == Io::kGone) lose(device);
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
    bytes += packet.bytes.size();
    const bool inSlot = packet.bytes.data() == memory.data();
    if (forwarder_.fromUplink(packet) && inSlot && ++slot == BufferRing::kSlots) break;
  }
  forwarder_.endBatch();
  device.endBatch();
  if (const auto lost = device.takeOverruns()) counters_.drop(Drop::uplink_overrun, lost);
  table_.leave(index_);
  settle();
  if (result == Io::kGone) lose(device);
}

// The device is in no list afterwards, and may be gone.
void Worker::lose(Device& device) {
  counters_.add(EngineCounter::devicesLost);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, device.fd(), nullptr);
  ::epoll_ctl(urgent_.get(), EPOLL_CTL_DEL, device.fd(), nullptr);
  sources_.erase(device.fd());
}

}  // namespace kagemusha
