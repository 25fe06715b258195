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

// A batch of trains is a lot of work: one source may have this many octets per turn, where each packet on the
// wire counts as so many more.
constexpr std::size_t kBatchBytes = 512 * 1024;
constexpr std::size_t kPacketCost = 256;

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
      slowPath_(slowPath),
      table_(table),
      transmitRing_(transmitRing),
      forwarder_(region, slowPath, policing),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = event_.get();
  if (!epoll_ || !event_ || ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, event_.get(), &event) != 0)
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
  sources_.insert_or_assign(event.data.fd, std::move(source));
}

void Worker::run() {
  // Linux has a nice value for each thread. Without CAP_SYS_NICE it stays as it is.
  ::setpriority(PRIO_PROCESS, 0, kNice);
  epoll_event events[64];
  while (!stopping_) {
    const int count = ::epoll_wait(epoll_.get(), events, 64, -1);
    counters_.add(EngineCounter::wakeups);
    for (int index = 0; index < count; ++index) {
      const int fd = events[index].data.fd;
      if (fd == event_.get()) {
        eventfd_t asked;
        ::eventfd_read(fd, &asked);
        runCommands();
        transmit();
      } else if (const auto source = sources_.find(fd);
                 source != sources_.end()) {  // else: removed in this very turn
        serve(source->second);
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
}

void Worker::serve(Source& source) {
  Device& device = source.device();
  Io result = Io::kDone;
  forwarder_.beginBatch(table_.enter(index_), coarseNow());
  // A slot whose packet is not held for merging serves the next read too: a small part of the ring stays in
  // the cache.
  std::size_t slot = 0, bytes = 0;
  for (std::size_t turn = 0; turn < Forwarder::kBatch && bytes < kBatchBytes; ++turn) {
    Packet packet;
    result = device.read(buffers_.slot(slot), packet);
    if (result != Io::kDone) break;
    bytes += packet.bytes.size() + kPacketCost * segmentsAtMost(packet);
    if (source.port)
      forwarder_.fromPort(*source.port, packet);
    else if (forwarder_.fromUplink(packet))
      ++slot;
  }
  forwarder_.endBatch();
  device.endBatch();
  table_.leave(index_);
  if (result == Io::kGone || result == Io::kNonsense) lose(source, result);
}

void Worker::lose(const Source& source, Io why) {
  if (source.port) {
    source.port->counters.add(PortCounter::lost);
    if (why == Io::kNonsense) source.port->counters.drop(Drop::stream_nonsense);
  }
  counters_.add(EngineCounter::devicesLost);
  const int fd = source.device().fd();
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  sources_.erase(fd);  // `source` ends here
  slowPath_.wake();    // JavaScript finds it counted
}

}  // namespace kagemusha
