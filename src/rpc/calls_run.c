/* Running and halting, events, processors. */
#include "rpc/handler.h"

HRESULT call_get_execution_status(struct running *running)
{
    uint32_t status = 0;
    HRESULT hr = session_get_execution_status(running->session, &status);
    return call_result_number(running, hr, status);
}

HRESULT call_set_execution_status(struct running *running)
{
    uint32_t status = (uint32_t)running->arguments[0].number;
    return call_result_nothing(running, session_set_execution_status(running->session, status));
}

HRESULT call_set_interrupt(struct running *running)
{
    return call_result_nothing(running, session_interrupt(running->session));
}

HRESULT call_wait_for_event(struct running *running)
{
    char text[512] = "";
    HRESULT hr = session_wait_for_event(running->session, (uint32_t)running->arguments[0].number,
                                        text, sizeof text);
    if (SUCCEEDED(hr))
        pack_text(answer_result(&running->answer, hr, 1), hr == S_OK ? text : "");
    return hr;
}

HRESULT call_get_number_processors(struct running *running)
{
    uint32_t number = 0;
    HRESULT hr = session_get_number_processors(running->session, &number);
    return call_result_number(running, hr, number);
}

HRESULT call_get_current_processor(struct running *running)
{
    uint32_t processor = 0;
    HRESULT hr = session_get_current_processor(running->session, &processor);
    return call_result_number(running, hr, processor);
}

HRESULT call_set_current_processor(struct running *running)
{
    uint32_t processor = (uint32_t)running->arguments[0].number;
    return call_result_nothing(running, session_set_current_processor(running->session, processor));
}

HRESULT call_set_event_callbacks(struct running *running)
{
    uint32_t mask = (uint32_t)running->arguments[0].number;
    return call_result_nothing(running, session_set_event_mask(running->session, mask));
}
