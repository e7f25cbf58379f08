"""The built-in provider openai in the conformance kit."""

from polyrelay.testing import ProviderContract, Reply, Talk
from providers import openai

REFUSED = Reply(
    status=400,
    json={"error": {"message": "Invalid size.", "type": "invalid_request_error", "param": "size", "code": "bad_size"}},
)
PIECES = (
    b'data: {"choices":[{"delta":{"content":"Fo"}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"xes"},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}\n\n'
    b"data: [DONE]\n\n"
)

KEYS = {"OPENAI_API_KEY": "made-up-openai-key"}
LINKS = Talk(
    model="dall-e-3",
    params={"prompt": "a fox", "size": "1024x1024"},
    accepted=Reply(json={"created": 1, "data": [{"url": "https://pictures.example/a.png"}]}),
    refused=REFUSED,
)
PICTURES = Talk(
    model="gpt-image-1",
    params={"prompt": "a fox", "quality": "low"},
    accepted=Reply(
        json={
            "created": 1,
            "data": [{"b64_json": "iVBORw0KGgo="}],
            "output_format": "png",
            "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        }
    ),
    refused=REFUSED,
    also={"gpt-image-2": {"prompt": "a fox", "size": "1536x864"}},
)
CHAT = Talk(
    model="gpt-4",
    params={"prompt": "a fox", "max_tokens": 100},
    accepted=Reply(
        json={
            "choices": [{"message": {"content": "Foxes"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        }
    ),
    refused=REFUSED,
    streamed=Reply(body=PIECES, headers={"content-type": "text/event-stream"}),
    also={"o1": {"prompt": "a fox"}},
)
VIDEOS = Talk(
    model="sora-2",
    params={"prompt": "a fox", "duration": 8},
    accepted=Reply(json={"id": "video_1", "status": "queued", "progress": 0, "seconds": "8"}),
    refused=REFUSED,
    working=Reply(json={"id": "video_1", "status": "in_progress", "progress": 40, "seconds": "8"}),
    done=[
        Reply(json={"id": "video_1", "status": "completed", "progress": 100, "seconds": "8"}),
        Reply(body=b"\x00\x00\x00\x18ftypmp42", headers={"content-type": "video/mp4"}),
    ],
    failed=Reply(json={"id": "video_1", "status": "failed", "error": {"code": "server_error", "message": "sorry"}}),
)


class TestOpenAI(ProviderContract):
    """Each service and each class of params, with the vendor's documented answers."""

    plugin = openai
    env = KEYS
    talks = (LINKS, PICTURES, CHAT, VIDEOS)
