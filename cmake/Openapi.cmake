# corpus_openapi(TARGET): embeds docs/openapi.yaml as JSON into a target, which can then declare
#     extern const char openapi_json[];
#     extern const size_t openapi_json_size;
function(corpus_openapi target)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/openapi_json.c)
  add_custom_command(
    OUTPUT ${output}
    COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/cmake/embed_openapi.py
            ${CMAKE_SOURCE_DIR}/docs/openapi.yaml ${output}
    DEPENDS ${CMAKE_SOURCE_DIR}/docs/openapi.yaml ${CMAKE_SOURCE_DIR}/cmake/embed_openapi.py
    COMMENT "Embedding docs/openapi.yaml"
    VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
