// Async<T>: a coroutine that answers with a Result<T> later.
//
//     Async<Response> ask(Socket& socket) {
//         auto sent = co_await socket.write(question);
//         if (!sent) co_return fail(std::move(sent).error());
//         ...
//         co_return Response{...};
//     }
//
// Lazy: nothing runs until it is awaited (or given to TaskGroup::spawn, or to rt::run). It lives
// and resumes on one core; awaiting moves no work to another thread.
//
// Cancelling is destroying. Whoever owns an Async may drop it while it waits: its frame is
// destroyed from the outside in, destructors run, and the operation it waited for is withdrawn (a
// timer is disarmed, a waiting read unregistered). Nothing is thrown and nothing needs to be
// awaited afterwards, so cleaning up may not wait either. A coroutine never drops itself, nor one
// that awaits it or is just starting it: it must be suspended when it is destroyed.
//
// Parameters are values, or references that the owner keeps alive. A lambda with captures is never
// itself a coroutine that outlives the statement: its captures die with the lambda.
#pragma once

#include <coroutine>
#include <optional>
#include <utility>

#include "core/check.h"
#include "core/result.h"

namespace fathom {

template <class T = void>
class Async;

namespace rt::detail {

// Coroutine frames come from a per-core free list: a call uses the same few sizes all the time.
void* allocate_frame(std::size_t bytes);
void release_frame(void* frame, std::size_t bytes) noexcept;

struct PromiseBase {
    static void* operator new(std::size_t bytes) { return allocate_frame(bytes); }
    static void operator delete(void* frame, std::size_t bytes) noexcept {
        release_frame(frame, bytes);
    }

    struct FinalAwaiter {
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
            return self.promise().continuation;
        }
        void await_resume() const noexcept {}
    };

    std::suspend_always initial_suspend() const noexcept { return {}; }
    FinalAwaiter final_suspend() const noexcept { return {}; }
    // Exceptions never cross a coroutine: an adapter catches what its library throws.
    [[noreturn]] void unhandled_exception() const noexcept {
        check_failed("no exception", __FILE__, __LINE__, "an exception left a coroutine");
    }

    std::coroutine_handle<> continuation = std::noop_coroutine();
};

template <class T>
struct Promise : PromiseBase {
    Async<T> get_return_object() noexcept;
    // Accepts a T, a Result<T>, or fail(...).
    template <class U = T>
    void return_value(U&& value) {
        result.emplace(std::forward<U>(value));
    }
    std::optional<Result<T>> result;
};

}  // namespace rt::detail

template <class T>
class [[nodiscard]] Async {
public:
    using promise_type = rt::detail::Promise<T>;
    using Handle = std::coroutine_handle<promise_type>;

    explicit Async(Handle handle) noexcept : handle_(handle) {}
    Async(Async&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
    Async& operator=(Async&& other) noexcept {
        if (this != &other) {
            reset();
            handle_ = std::exchange(other.handle_, {});
        }
        return *this;
    }
    ~Async() { reset(); }

    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept {
        continue_with(waiter);
        return handle_;
    }
    Result<T> await_resume() { return std::move(*handle_.promise().result); }

    // For those who build new ways of waiting (rt/wait.h): start without awaiting, say who goes on
    // at its end, look, take.
    void start(std::coroutine_handle<> continuation) {
        continue_with(continuation);
        handle_.resume();
    }
    void continue_with(std::coroutine_handle<> continuation) noexcept {
        handle_.promise().continuation = continuation;
    }
    bool is_done() const noexcept { return handle_ && handle_.done(); }
    Result<T> take() { return std::move(*handle_.promise().result); }
    // Drops the coroutine (see the head of this file).
    void reset() noexcept {
        if (handle_) std::exchange(handle_, {}).destroy();
    }

private:
    Handle handle_;
};

template <class T>
Async<T> rt::detail::Promise<T>::get_return_object() noexcept {
    return Async<T>(Async<T>::Handle::from_promise(*this));
}

}  // namespace fathom
