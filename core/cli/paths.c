#include <stdio.h>

#include "cli/commands.h"
#include "cli/places.h"

int command_paths(void) {
  const char *modules = places_modules(), *c_modules = places_c_modules();
  if (!modules || !c_modules) {
    fprintf(stderr,
            "parlance: %s not there; they come with `cmake --build` and `cmake --install`\n",
            modules ? "the C modules for spec runners are" : "the modules of the server are");
    return EXIT_FAILED;
  }
  printf("%s/?.lua\n%s/?.so\n", modules, c_modules);
  return EXIT_STOPPED;
}
