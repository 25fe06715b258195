// A thread with one event loop over many ports.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "buffer_ring.h"
#include "forwarder.h"
#include "published.h"
#include "unique_fd.h"

namespace kagemusha {

// Sleeps in epoll_wait until a device is readable; then each ready device gets one batch in turn, so that no
// guest can keep the others waiting longer than that.
class Worker {
 public:
  // Reader number `index` of `table`. The worker that also sends what JavaScript transmits has a
  // `transmitRing`.
  Worker(std::size_t index, const Region& region, SlowPath& slowPath, Policing& policing,
         Published<TunnelTable>& table, std::optional<SlowPathRing> transmitRing);
  // Stops the thread.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // These three may be called from one other thread; they return when the worker has done it.
  void add(std::shared_ptr<Port> port);
  void add(std::shared_ptr<Uplink> uplink);
  void remove(const Device& device);

  // Looks at the transmit ring. Any thread.
  void kick();

 private:
  // Exactly one of them.
  struct Source {
    std::shared_ptr<Port> port;
    std::shared_ptr<Uplink> uplink;
    Device& device() const { return port ? *port->device : *uplink->device; }
  };

  void call(std::function<void()> command);
  void watch(Source source);
  void run();
  void runCommands();
  void serve(Source& source);
  // Its device is not watched any more.
  void lose(const Source& source, Io why);
  void transmit();

  const std::size_t index_;
  const EngineCounters counters_;
  SlowPath& slowPath_;
  Published<TunnelTable>& table_;
  std::optional<SlowPathRing> transmitRing_;
  Forwarder forwarder_;
  BufferRing buffers_;
  UniqueFd epoll_, event_;
  std::unordered_map<int, Source> sources_;  // by file descriptor; touched by the thread only

  std::mutex mutex_;
  std::condition_variable done_;
  std::function<void()> command_;  // under mutex_; empty: none waits
  bool stopping_ = false;          // touched by the thread only
  std::thread thread_;             // last: everything else exists before it runs
};

}  // namespace kagemusha
